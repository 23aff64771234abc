// The categories: a tree of links, open along the chosen one.

import { ask } from "./api.js";
import { link } from "./address.js";
import { $, element, leaf, spaced } from "./dom.js";

const FRESH_MS = 30_000;
let counts = {};
let countedAt = -Infinity;

export function forgetCounts() {
  countedAt = -Infinity;
}

export async function renderCategories(state, signal) {
  if (performance.now() - countedAt > FRESH_MS) {
    counts = (await ask("/v1/categories", { signal })).categories;
    countedAt = performance.now();
  }
  const paths = Object.keys(counts).sort();
  const build = (parent) => {
    const depth = parent ? parent.split("/").length : 0;
    const children = paths.filter((path) => path.split("/").length === depth + 1 && (!parent || path.startsWith(`${parent}/`)));
    if (!children.length) return null;
    const list = document.createElement("ul");
    if (!parent) list.append(categoryItem("", "All", null, state));
    for (const path of children) {
      const item = categoryItem(path, leaf(path), counts[path], state);
      const open = state.category === path || state.category.startsWith(`${path}/`);
      const below = open ? build(path) : null;
      if (below) item.append(below);
      list.append(item);
    }
    return list;
  };
  $("categories").replaceChildren(build("") ?? "");
  $("browse-title").textContent = state.mode === "list" ? "Categories" : "Look in";
  $("chosen").textContent = state.category ? state.category.split("/").map(spaced).join(" / ") : "All";
}

function categoryItem(path, name, count, state) {
  const item = document.createElement("li");
  const anchor = document.createElement("a");
  anchor.href = link({ category: path }, state.query);
  anchor.dataset.link = "";
  if (path === state.category) anchor.setAttribute("aria-current", "true");
  anchor.append(element("span", "name leaf", name));
  if (count !== null) {
    const number = element("span", "count", count.toLocaleString());
    number.setAttribute("aria-label", `${count} products`);
    anchor.append(number);
  }
  item.append(anchor);
  return item;
}
