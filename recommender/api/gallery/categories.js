// The categories: a tree of links, open along the chosen one.

import { link } from "./address.js";
import { $, element, leaf, spaced } from "./dom.js";

export function renderCategories(state, paths, counts) {
  const sorted = [...paths].sort();
  const below = (parent) => {
    const depth = parent ? parent.split("/").length : 0;
    const children = sorted.filter((path) => path.split("/").length === depth + 1 && (!parent || path.startsWith(`${parent}/`)));
    if (!children.length) return null;
    const list = document.createElement("ul");
    if (!parent) list.append(categoryItem("", "All", null, state));
    for (const path of children) {
      const item = categoryItem(path, leaf(path), counts[path] ?? 0, state);
      const open = state.category === path || state.category.startsWith(`${path}/`);
      const deeper = open ? below(path) : null;
      if (deeper) item.append(deeper);
      list.append(item);
    }
    return list;
  };
  $("categories").replaceChildren(below("") ?? "");
  $("browse-title").textContent = state.asks ? "Look in" : "Categories";
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
    anchor.classList.toggle("none", count === 0);
    anchor.append(element("span", "count", count.toLocaleString()));
  }
  item.append(anchor);
  return item;
}
