// What the page shows is said by its address, so links, reload and the back button just work. The names
// are the API's own:
//   ?category=PATH          products of a category (none: all)
//   ?product=ID             a product, and what looks like it
//   ?photo=NAME             what looks like an uploaded photo (kept in memory only)
//   ?text=WORDS             what the words say, alone or mixed with the others
//   ?positive=ID&negative=ID  like these, unlike those; alone or on top of the others
// and on top of each: the filters and the rules below.

const FILTERS = ["in_stock", "price_min", "price_max", "currency", "brand", "exclude_brand", "exclude_id"];
const RULES = ["group", "diversity", "min_score", "brand_cap", "relax"];
const BESIDE_A_PRODUCT = ["price_within", "not_dearer", "seed_brand", "exclude_family"];
const ATTRIBUTE = "attr.";

export const RELAX = ["attributes", "price", "category"]; // what is given up first
export const isFilter = (name) => FILTERS.includes(name) || name.startsWith(ATTRIBUTE);
export const attribute = (name) => name.slice(ATTRIBUTE.length);
export const attributeField = (name) => ATTRIBUTE + name;

export function view() {
  const query = new URLSearchParams(location.search);
  const [product, photo, text] = ["product", "photo", "text"].map((name) => query.get(name) || null);
  const [positive, negative] = ["positive", "negative"].map((name) => [...new Set(query.getAll(name))]);
  const hasSeed = Boolean(product || photo || positive.length);
  const subject = product ? "product" : photo ? "photo" : "";
  const category = query.get("category") ?? "";
  return { query, subject, product, photo, text, positive, negative, category, hasSeed, asks: hasSeed || Boolean(text) };
}

// The address with some parameters changed: to a value, to several, or away with them.
export function link(changes, base = new URLSearchParams()) {
  const query = new URLSearchParams(base);
  for (const [name, values] of Object.entries(changes)) {
    query.delete(name);
    for (const value of [values].flat()) if (value) query.append(name, value);
  }
  return query.size ? `/?${query}` : "/";
}

const only = (query, wanted) => new URLSearchParams([...query].filter(([name, value]) => value && wanted(name)));

export const filterParameters = ({ query }) => only(query, (name) => name === "category" || isFilter(name));

export function ruleParameters({ query, product, positive }) {
  const names = product || positive.length ? [...RULES, ...BESIDE_A_PRODUCT] : RULES;
  return only(query, (name) => names.includes(name));
}

// What a new question takes along.
export const kept = (query) => only(query, (name) => isFilter(name) || RULES.includes(name) || BESIDE_A_PRODUCT.includes(name));

export function withoutFilters(query, names = (name) => name === "category" || isFilter(name)) {
  return link({}, only(query, (name) => !names(name)));
}
