// From the address to the question that the API is asked.

import { ask, Problem, productUrl, send } from "./api.js";
import { attribute, filterParameters, ruleParameters } from "./address.js";
import { catalog } from "./catalog.js";
import { photoOf } from "./photos.js";

const NUMBERS = ["price_min", "price_max", "diversity", "min_score", "brand_cap", "price_within"];
const FLAGS = ["in_stock", "group", "not_dearer", "exclude_family"];
const LISTS = { category: "category", brand: "brand", exclude_brand: "exclude_brands", exclude_id: "exclude_ids" };

export async function similar(state, page, signal) {
  if (state.photo) return ask("/v1/similar/image", { method: "POST", body: await form(state, page, signal), signal });
  if (state.product && !state.text && !state.positive.length && !state.negative.length) {
    const parameters = new URLSearchParams([...filterParameters(state), ...ruleParameters(state), ...Object.entries(page)]);
    return ask(`${productUrl(state.product)}/similar?${parameters}`, { signal });
  }
  return send("/v1/similar", body(state, page), signal);
}

async function form(state, page, signal) {
  const file = photoOf(state.photo);
  const { max_upload_bytes: most } = await catalog(signal);
  if (file.size > most) {
    const detail = `It has ${megabytes(file.size)}, and at most ${megabytes(most)} are taken. Choose a smaller one.`;
    throw new Problem(413, { title: "This photo is too large", detail });
  }
  const data = new FormData();
  const fields = [...filterParameters(state), ...ruleParameters(state), ...Object.entries(page), ...words(state)];
  for (const [name, value] of fields) data.append(name, value);
  for (const id of state.positive) data.append("positive", id);
  for (const id of state.negative) data.append("negative", id);
  data.append("file", file);
  return data;
}

function body(state, page) {
  const asked = { positive: [...new Set([state.product, ...state.positive])].filter(Boolean), negative: state.negative };
  const rules = {};
  for (const [name, value] of ruleParameters(state)) {
    if (name === "relax") (rules.relax ??= []).push(value);
    else rules[name] = typed(name, value);
  }
  return { ...asked, ...Object.fromEntries(words(state)), filter: filter(state), ...rules, ...page };
}

function filter(state) {
  const where = {};
  for (const [name, value] of filterParameters(state)) {
    if (name in LISTS) (where[LISTS[name]] ??= []).push(value);
    else if (name.startsWith("attr.")) addAttribute((where.attributes ??= {}), attribute(name), value);
    else where[name] = typed(name, value);
  }
  return where;
}

function addAttribute(attributes, name, value) {
  const range = /^(.+)\.(min|max)$/.exec(name);
  if (range) attributes[range[1]] = { ...attributes[range[1]], [range[2]]: Number(value) };
  else (attributes[name] ??= []).push(value);
}

function words({ query, text, hasSeed }) {
  if (!text) return [];
  const weight = query.get("text_weight");
  return hasSeed && weight ? [["text", text], ["text_weight", Number(weight)]] : [["text", text]];
}

function typed(name, value) {
  if (NUMBERS.includes(name)) return Number(value);
  return FLAGS.includes(name) ? value === "true" : value;
}

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })} MB`;
