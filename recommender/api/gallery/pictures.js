// Pictures of products, in a frame that says so where there is none.

import { fetched, hasKey, productUrl } from "./api.js";

export async function picture(frame, id, n, px, alt) {
  const url = `${productUrl(id)}/images/${n}?px=${px}`;
  const image = new Image();
  image.alt = alt;
  if (px < 500) image.loading = "lazy";
  try {
    show(image, hasKey() ? await fetched(url) : url, frame);
  } catch {
    frame.textContent = "No picture";
  }
}

export function photograph(frame, file, alt) {
  const image = new Image();
  image.alt = alt;
  show(image, URL.createObjectURL(file), frame);
}

function show(image, url, frame) {
  const release = () => url.startsWith("blob:") && URL.revokeObjectURL(url);
  image.draggable = false; // dragged onto the page, it would be taken for a photo
  image.addEventListener("load", release);
  image.addEventListener("error", () => {
    release();
    frame.textContent = "No picture";
  });
  image.src = url;
  frame.replaceChildren(image);
}
