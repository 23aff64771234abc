// Cards in the grid, and the pictures on them.

import { fetched, hasKey, productUrl } from "./api.js";
import { kept, link } from "./address.js";
import { $, clear, copy, price } from "./dom.js";

export function fill(items, state, fresh) {
  const grid = $("grid");
  grid.classList.remove("waiting");
  grid.removeAttribute("aria-busy");
  if (fresh) clear(grid);
  grid.append(...items.map((item) => card(item, state)));
}

function card(item, state) {
  const entry = copy("card");
  const anchor = entry.querySelector("a");
  anchor.href = link({ product: item.id, ...kept(state.query) });
  anchor.classList.toggle("sold-out", !item.in_stock);
  entry.querySelector(".name").textContent = item.title ?? item.id;
  entry.querySelector(".maker").textContent = item.brand ?? "";
  entry.querySelector(".cost").textContent = price(item);
  if (item.images.length) picture(entry.querySelector(".frame"), item, 0, 360, "");
  if (item.score !== undefined) {
    const score = entry.querySelector(".score");
    score.textContent = item.score.toFixed(2);
    score.style.setProperty("--share", Math.max(0, item.score));
    score.setAttribute("aria-label", `likeness ${item.score.toFixed(2)}`);
    score.setAttribute("role", "img");
    score.hidden = false;
  }
  return entry;
}

export function skeleton() {
  const grid = $("grid");
  grid.classList.add("waiting");
  grid.setAttribute("aria-busy", "true");
  if (grid.children.length) return; // what is there stays until there is something better
  for (let n = 0; n < 8; n += 1) {
    const entry = copy("card");
    entry.setAttribute("aria-hidden", "true");
    grid.append(entry);
  }
}

export async function picture(frame, product, n, px, alt) {
  const url = `${productUrl(product.id)}/images/${n}?px=${px}`;
  const image = new Image();
  image.alt = alt;
  if (px < 500) image.loading = "lazy";
  try {
    show(image, hasKey() ? await fetched(url) : url, frame);
  } catch {
    frame.textContent = "No picture";
  }
}

export function show(image, url, frame) {
  const release = () => url.startsWith("blob:") && URL.revokeObjectURL(url);
  image.addEventListener("load", release);
  image.addEventListener("error", () => {
    release();
    frame.textContent = "No picture";
  });
  image.src = url;
  frame.replaceChildren(image);
}
