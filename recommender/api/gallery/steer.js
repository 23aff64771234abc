// Likes and dislikes: what they are, and the chips that take them back.

import { link, view } from "./address.js";
import { productOf } from "./catalog.js";
import { $, button, copy } from "./dom.js";
import { go } from "./moving.js";
import { picture } from "./pictures.js";

const MOST = 32; // that the API takes on each side
const OTHER = { positive: "negative", negative: "positive" };

export function steer(id, side) {
  const state = view();
  const liked = state[side].includes(id) ? state[side].filter((other) => other !== id) : [...state[side], id];
  const changes = { [side]: liked.slice(-MOST), [OTHER[side]]: state[OTHER[side]].filter((other) => other !== id) };
  go(link(changes, state.query), "steer");
}

export function renderSteering(state, signal) {
  const chips = ["positive", "negative"].flatMap((side) => state[side].map((id) => chip(id, side, signal)));
  $("steered").replaceChildren(...chips);
  $("steering").hidden = !chips.length;
  $("unsteer").onclick = () => go(link({ positive: [], negative: [] }, state.query), "steer");
  $("unsteer").hidden = chips.length < 2;
  $("steer-hint").hidden = state.asks || !chips.length;
}

function chip(id, side, signal) {
  const entry = copy("steering-chip");
  const word = side === "positive" ? "More" : "Less";
  entry.classList.add(side);
  entry.querySelector(".word").textContent = `${word} like`;
  const name = entry.querySelector(".name");
  name.textContent = id;
  const remove = button("", () => steer(id, side), "remove");
  remove.setAttribute("aria-label", `Not asked any more: ${word.toLowerCase()} like ${id}`);
  entry.append(remove);
  productOf(id, signal).then(
    (product) => {
      name.textContent = product.title ?? id;
      remove.setAttribute("aria-label", `Not asked any more: ${word.toLowerCase()} like ${product.title ?? id}`);
      picture(entry.querySelector(".frame"), id, 0, 96, "");
    },
    () => {}, // its id stands there, and the question itself says what is wrong with it
  );
  return entry;
}
