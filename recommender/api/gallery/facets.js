// Brands and declared attributes: a list to tick each, with counts; from and to where values are many numbers.

import { attributeField } from "./address.js";
import { $, capital, copy, element, spaced } from "./dom.js";

const MOST = 500; // values in a list
const MANY = 12; // from here on, numbers are a range and names can be searched

export function renderFacets(state, attributes, counts) {
  const fields = [["brand", "Brand"], ...attributes.map((name) => [attributeField(name), capital(spaced(name))])];
  for (const [field, name] of fields) {
    const chosen = state.query.getAll(field);
    const frequent = Object.entries(counts[field]).sort(([, a], [, b]) => b - a).slice(0, MOST);
    const values = [...new Set([...frequent.map(([value]) => value), ...chosen])];
    values.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const numbers = values.length > MANY && values.every((value) => Number.isFinite(Number(value)));
    const box = boxOf(field, name);
    box.hidden = !values.length;
    box.querySelector(".span").hidden = !numbers;
    box.querySelector(".values").hidden = numbers;
    box.querySelector(".find").hidden = numbers || values.length <= MANY;
    if (numbers) range(box, field, state.query);
    else offer(box.querySelector(".values"), field, values, chosen, counts[field]);
  }
}

function boxOf(field, name) {
  const there = [...$("facets").children].find(({ dataset }) => dataset.field === field);
  if (there) return there;
  const box = copy("facet");
  box.dataset.field = field;
  box.querySelector("legend").textContent = name;
  const search = box.querySelector(".find");
  search.placeholder = `Find in ${name.toLowerCase()}`;
  search.setAttribute("aria-label", search.placeholder);
  search.oninput = (event) => {
    event.stopPropagation(); // it narrows the list, not the products
    const wanted = search.value.trim().toLowerCase();
    for (const row of box.querySelector(".values").children) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  };
  $("facets").append(box);
  return box;
}

function offer(list, field, values, chosen, counts) {
  const focused = document.activeElement;
  const rows = new Map([...list.children].map((row) => [row.dataset.value, row]));
  list.replaceChildren(
    ...values.map((value) => {
      const row = rows.get(value) ?? option(field, value);
      row.querySelector("input").checked = chosen.includes(value);
      row.querySelector(".count").textContent = (counts[value] ?? 0).toLocaleString();
      return row;
    }),
  );
  if (list.contains(focused)) focused.focus({ preventScroll: true });
}

function option(field, value) {
  const row = element("label", "check");
  row.dataset.value = value;
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", name: field, value });
  row.append(box, element("span", "name", { true: "Yes", false: "No" }[value] ?? value), element("span", "count"));
  return row;
}

function range(box, field, query) {
  for (const [input, end] of [...box.querySelectorAll(".span input")].map((input, n) => [input, ["min", "max"][n]])) {
    input.name = `${field}.${end}`;
    input.setAttribute("aria-label", `${box.querySelector("legend").textContent} ${end === "min" ? "from" : "to"}`);
    if (input !== document.activeElement) input.value = query.get(input.name) ?? "";
  }
}
