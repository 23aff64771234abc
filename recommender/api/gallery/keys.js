// The keyboard: / searches; in the grid, arrows move, + and - steer, w says why.

import { $ } from "./dom.js";

const PRESSES = { "+": "[data-side=positive]", "=": "[data-side=positive]", "-": "[data-side=negative]", w: ".score:not([hidden])" };

const typing = (target) => target.closest("input:not([type=checkbox], [type=range]), select, textarea, dialog[open]");

addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || typing(event.target)) return;
  const entry = event.target.closest("#grid > li");
  if (event.key === "/") $("q").focus();
  else if (entry && event.key in PRESSES) entry.querySelector(PRESSES[event.key])?.click();
  else if (!entry || !move(entry, event.key)) return;
  event.preventDefault();
});

function move(entry, key) {
  const cards = [...entry.parentElement.children];
  const columns = cards.filter(({ offsetTop }) => offsetTop === cards[0].offsetTop).length;
  const at = cards.indexOf(entry);
  const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: cards.length - 1 };
  if (!(key in steps)) return false;
  cards[steps[key]]?.querySelector("a").focus();
  return true;
}
