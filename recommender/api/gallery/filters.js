// The filters: read from the form at every change, kept in the address; what is in use stands above the answers.

import { attribute, isFilter, link, view, withoutFilters } from "./address.js";
import { $, button, spaced } from "./dom.js";
import { go } from "./moving.js";

const TYPING_MS = 350;
const form = $("filters");

export function syncFilters({ query }) {
  for (const input of form.elements) {
    if (!isFilter(input.name) || input === document.activeElement) continue;
    if (input.type === "checkbox") input.checked = query.getAll(input.name).includes(input.value);
    else if (input.type === "number") input.value = query.get(input.name) ?? "";
  }
  const used = [...query].filter(([name, value]) => value && isFilter(name));
  $("used").replaceChildren(...used.map(([name, value]) => chip(name, value, query)));
  $("using").hidden = !used.length;
  $("narrowed").textContent = used.length || "";
  $("clear").onclick = () => leave(withoutFilters(query, isFilter));
}

function chip(name, value, query) {
  const item = document.createElement("li");
  const rest = query.getAll(name).filter((other) => other !== value);
  const remove = button(worded(name, value), () => leave(link({ [name]: rest }, query)), "remove");
  remove.setAttribute("aria-label", `Without the filter ${remove.textContent}`);
  item.append(remove);
  return item;
}

function worded(name, value) {
  if (name === "in_stock") return value === "true" ? "In stock" : "Sold out";
  if (name === "price_min") return `From ${Number(value).toLocaleString()}`;
  if (name === "price_max") return `To ${Number(value).toLocaleString()}`;
  if (name.startsWith("exclude_")) return `Not ${value}`;
  if (!name.startsWith("attr.")) return value;
  const [, field, end] = /^(.+?)(\.min|\.max)?$/.exec(attribute(name));
  return `${spaced(field)}${{ ".min": " from", ".max": " to" }[end] ?? ":"} ${value}`;
}

function leave(url) {
  $("title").focus({ preventScroll: true }); // the button is about to vanish
  go(url, "refine");
}

const changed = new Set(); // names
let waiting;
form.addEventListener("input", ({ target }) => {
  for (const name of target.name ? [target.name] : ["price_min", "price_max"]) changed.add(name); // a thumb has none
  clearTimeout(waiting);
  waiting = setTimeout(read, target.type === "checkbox" ? 0 : TYPING_MS);
});
form.addEventListener("submit", (event) => event.preventDefault());

function read() {
  const said = new FormData(form);
  const valid = [...changed].filter((name) => form.elements[name].validity?.valid ?? true); // a list of boxes has none
  changed.clear();
  go(link(Object.fromEntries(valid.map((name) => [name, said.getAll(name)])), view().query), "refine");
}
