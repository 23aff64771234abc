// What the catalog says of itself, and the products that were seen of it.

import { ask, productUrl } from "./api.js";

let said = null;
const seen = new Map(); // id -> product

export async function catalog(signal) {
  said ??= await ask("/v1/catalog", { signal });
  return said;
}

export function remember(products) {
  for (const product of products) seen.set(product.id, product);
}

export const named = (id) => seen.get(id)?.title ?? id;

export async function productOf(id, signal) {
  if (!seen.has(id)) remember([await ask(productUrl(id), { signal })]);
  return seen.get(id);
}
