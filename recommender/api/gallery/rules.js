// The rules of an answer: how varied, how alike at least, what beside the product it may cost.

import { link, RELAX, view } from "./address.js";
import { $ } from "./dom.js";
import { go } from "./moving.js";

const SLIDING_MS = 200;
const TYPING_MS = 500;
const form = $("rules");

export function syncRules(state, { text }) {
  form.hidden = !state.asks;
  for (const input of form.elements) {
    if (!input.name || input === document.activeElement) continue;
    const value = state.query.get(input.name);
    if (input.type === "checkbox") input.checked = input.name === "relax" ? value !== null : value === "true";
    else input.value = value ?? input.dataset.unset ?? "";
  }
  for (const beside of form.querySelectorAll(".beside")) beside.hidden = !state.product && !state.positive.length;
  // Words that came by a link can be taken back, though the encoder reads none.
  for (const mixed of form.querySelectorAll(".mixed")) mixed.hidden = !state.hasSeed || !(text || state.text);
  $("weight").hidden = !state.text;
  const further = [...form.querySelectorAll("#further [name]")].filter(({ name }) => state.query.get(name));
  $("rules-used").textContent = further.length || "";
  say();
}

function say() {
  for (const output of form.querySelectorAll("output")) {
    const slider = form.elements[output.htmlFor[0]];
    const unset = slider.value === slider.dataset.unset && output.dataset.unset;
    output.textContent = unset || Number(slider.value).toFixed(slider.name === "min_score" ? 2 : 1);
  }
}

const changed = new Set(); // inputs
let waiting;
form.addEventListener("input", ({ target }) => {
  say();
  changed.add(target);
  clearTimeout(waiting);
  waiting = setTimeout(read, { checkbox: 0, text: TYPING_MS }[target.type] ?? SLIDING_MS);
});
$("rules-more").addEventListener("click", () => {
  $("further").hidden = !$("further").hidden;
  $("rules-more").setAttribute("aria-expanded", String(!$("further").hidden));
});
form.addEventListener("submit", (event) => event.preventDefault());

function read() {
  const changes = Object.fromEntries([...changed].map((input) => [input.name, chosen(input)]));
  changed.clear();
  go(link(changes, view().query), "refine");
}

function chosen(input) {
  if (input.name === "relax") return input.checked ? RELAX : [];
  if (input.type === "checkbox") return input.checked ? "true" : "";
  return input.value === input.dataset.unset ? "" : input.value.trim();
}
