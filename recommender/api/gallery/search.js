// The search box: words where the encoder reads them, and a product's id always.

import { ask, Problem, productUrl } from "./api.js";
import { kept, link, view } from "./address.js";
import { catalog } from "./catalog.js";
import { $ } from "./dom.js";
import { go } from "./moving.js";

const box = $("q");

export function syncSearch(state, { text }) {
  box.placeholder = text ? "Describe it, or a product's ID" : "A product's ID";
  box.setAttribute("aria-label", text ? "Search by words or a product's ID" : "Open a product by its ID");
  if (box !== document.activeElement) box.value = state.hasSeed ? "" : state.text ?? "";
}

$("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = box.value.trim();
  if (!words) return;
  const { text } = await catalog();
  const found = !text || (await isProduct(words));
  box.blur();
  go(link(found ? { product: words } : { text: words }, kept(view().query)));
});

async function isProduct(words) {
  if (/\s/.test(words)) return false; // worth no question, though an id may hold one
  try {
    await ask(productUrl(words));
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return false;
  }
}
