// Cards in the grid: the picture that matched, how alike it is and why, and + and - to steer by it.

import { kept, link } from "./address.js";
import { remember } from "./catalog.js";
import { $, copy, price } from "./dom.js";
import { picture } from "./pictures.js";
import { steer } from "./steer.js";
import { explain } from "./why.js";

export function fill(items, state, fresh) {
  const grid = $("grid");
  remember(items);
  grid.classList.remove("waiting");
  grid.removeAttribute("aria-busy");
  const cards = items.map((item) => card(item, state));
  if (fresh) grid.replaceChildren(...cards);
  else grid.append(...cards);
}

function card(item, state) {
  const entry = copy("card");
  const name = item.title ?? item.id;
  const anchor = entry.querySelector("a");
  anchor.href = link({ product: item.id }, kept(state.query));
  anchor.classList.toggle("sold-out", !item.in_stock);
  entry.querySelector(".name").textContent = name;
  entry.querySelector(".maker").textContent = item.brand ?? "";
  entry.querySelector(".cost").textContent = price(item);
  if (item.images.length) picture(entry.querySelector(".frame"), item.id, item.match?.image ?? 0, 360, "");
  for (const side of ["positive", "negative"]) {
    const button = entry.querySelector(`[data-side=${side}]`);
    button.setAttribute("aria-pressed", String(state[side].includes(item.id)));
    button.setAttribute("aria-label", `${side === "positive" ? "More" : "Less"} like ${name}`);
    button.onclick = () => steer(item.id, side);
  }
  if (item.score !== undefined) score(entry.querySelector(".score"), item, name);
  return entry;
}

function score(button, item, name) {
  const likeness = item.score.toFixed(2);
  button.querySelector("span").textContent = likeness;
  button.style.setProperty("--share", Math.max(0, item.score));
  button.setAttribute("aria-label", `${likeness}: why ${name}?`);
  button.onclick = () => explain(item);
  button.hidden = false;
}

export function skeleton() {
  const grid = $("grid");
  grid.classList.add("waiting");
  grid.setAttribute("aria-busy", "true");
  if (grid.children.length) return; // what is there stays until there is something better
  for (let n = 0; n < 8; n += 1) {
    const entry = copy("card");
    entry.setAttribute("aria-hidden", "true");
    entry.inert = true;
    entry.querySelector(".steer").remove();
    grid.append(entry);
  }
}
