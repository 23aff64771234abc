// How many products each choice would leave: the numbers beside categories, brands and attributes.

import { ask } from "./api.js";
import { attributeField, filterParameters } from "./address.js";
import { renderCategories } from "./categories.js";
import { renderFacets } from "./facets.js";
import { renderPrices } from "./prices.js";

const FRESH_MS = 30_000;
let last = { key: null, at: 0, counts: null };
let paths = null; // of all categories, so that the tree stands still while its counts change

export function forgetCounts() {
  last = { key: null };
  paths = null;
}

// Resolves to how many products the filters leave, or undefined where that can't be had.
export async function renderCounts(state, about, signal) {
  const fields = ["category", "brand", ...about.attributes.map(attributeField)];
  try {
    paths ??= Object.keys((await ask("/v1/categories", { signal })).categories);
    const counts = await counted(filterParameters(state), fields, signal);
    renderCategories(state, paths, counts.fields.category);
    renderFacets(state, about.attributes, counts.fields);
    await renderPrices(state, signal);
    return counts.total;
  } catch (error) {
    if (!signal.aborted) console.warn("no counts", error); // the products are shown without
    return undefined;
  }
}

async function counted(filters, fields, signal) {
  const key = String(filters);
  if (key === last.key && performance.now() - last.at < FRESH_MS) return last.counts;
  const questions = new Map(); // a choice is counted as if its own field were not filtered on
  for (const field of [...fields, null]) {
    const others = [...filters].filter(([name]) => name !== field && !name.startsWith(`${field}.m`));
    const question = String(new URLSearchParams(others));
    questions.set(question, [...(questions.get(question) ?? []), field]);
  }
  const counts = { fields: {}, total: 0 };
  await Promise.all(
    [...questions].map(async ([question, asked]) => {
      const parameters = new URLSearchParams(question);
      for (const field of asked.filter(Boolean)) parameters.append("field", field);
      if (!parameters.has("field")) parameters.append("field", "brand"); // the total alone can't be asked for
      const { facets, total } = await ask(`/v1/facets?${parameters}`, { signal });
      Object.assign(counts.fields, Object.fromEntries(asked.filter(Boolean).map((field) => [field, facets[field] ?? {}])));
      if (asked.includes(null)) counts.total = total;
    }),
  );
  last = { key, at: performance.now(), counts };
  return counts;
}
