// How many products each choice would leave: the numbers beside categories, brands and attributes.

import { ask } from "./api.js";
import { attributeField, filterParameters } from "./address.js";
import { renderCategories } from "./categories.js";
import { renderFacets } from "./facets.js";
import { renderPrices } from "./prices.js";

const FRESH_MS = 30_000;
const MOST = 16; // fields that one question may name
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

function inParts(fields) {
  const parts = [];
  for (let at = 0; at < fields.length; at += MOST) parts.push(fields.slice(at, at + MOST));
  return parts;
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
    [...questions].flatMap(([question, asked]) => inParts(asked).map(async (part) => {
      const parameters = new URLSearchParams(question);
      for (const field of part) parameters.append("field", field ?? "brand"); // no total without a field
      const { facets, total } = await ask(`/v1/facets?${parameters}`, { signal });
      for (const field of part) {
        if (field === null) counts.total = total;
        else counts.fields[field] = facets[field];
      }
    })),
  );
  last = { key, at: performance.now(), counts };
  return counts;
}
