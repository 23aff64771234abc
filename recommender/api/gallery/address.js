// What the page shows is said by its address, so links, reload and the back button just work:
//   ?category=PATH          products of a category (none: all)
//   ?product=ID             a product, and what looks like it
//   ?photo=NAME             what looks like an uploaded photo (kept in memory only)
// and on top of each: category, in_stock, price_min, price_max, group.

export const FILTERS = ["in_stock", "price_min", "price_max", "group"];

export function view() {
  const query = new URLSearchParams(location.search);
  const mode = query.has("product") ? "product" : query.has("photo") ? "photo" : "list";
  return { mode, query, category: query.get("category") ?? "" };
}

export function link(changes, base = new URLSearchParams()) {
  const query = new URLSearchParams(base);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  return query.size ? `/?${query}` : "/";
}

export function filterParameters({ mode, query, category }) {
  const parameters = new URLSearchParams();
  if (category) parameters.set("category", category);
  for (const name of FILTERS) {
    if (query.has(name) && (name !== "group" || mode !== "list")) parameters.set(name, query.get(name));
  }
  return parameters;
}

export const cleared = (names = FILTERS) => Object.fromEntries(names.map((name) => [name, ""]));
export const kept = (query) => Object.fromEntries(FILTERS.map((name) => [name, query.get(name)]));
