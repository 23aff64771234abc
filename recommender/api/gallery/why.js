// Why something was answered: the two pictures that are most alike, side by side, and what the catalog says.

import { kept, link, view } from "./address.js";
import { productOf } from "./catalog.js";
import { $, capital, element, leaf, price, spaced } from "./dom.js";
import { photograph, picture } from "./pictures.js";
import { photoOf } from "./photos.js";

export async function explain(item) {
  const { asked, asked_image: askedImage, image } = item.match;
  const state = view();
  const seed = asked ? await productOf(asked) : null;
  const [left, right] = $("pair").children;
  side(left, seed ? seed.title ?? seed.id : state.photo ? "Your photo" : "Your words", seed && numbered(seed, askedImage));
  side(right, item.title ?? item.id, numbered(item, image));
  const frame = left.querySelector(".frame");
  frame.classList.toggle("words", !seed && !state.photo);
  if (seed) picture(frame, seed.id, askedImage, 480, "");
  else if (state.photo) photograph(frame, photoOf(state.photo), "");
  else frame.textContent = `“${state.text}”`;
  picture(right.querySelector(".frame"), item.id, image, 480, "");
  $("likeness").textContent = item.score.toFixed(2);
  $("scale").textContent = seed || state.photo ? "1.00 is the same picture" : "words and pictures agree less than pictures do";
  compare($("compared"), seed, item);
  $("why-open").href = link({ product: item.id }, kept(state.query));
  $("why").showModal();
}

function side(figure, name, picture) {
  figure.querySelector(".name").textContent = name;
  figure.querySelector(".which").textContent = picture ?? "";
}

const numbered = ({ images }, n) => (images.length > 1 ? `Picture ${n + 1} of ${images.length}` : "Its picture");

function compare(table, seed, item) {
  table.hidden = !seed;
  if (!seed) return;
  const rows = Object.entries(facts(item)).filter(([name, value]) => value || facts(seed)[name]);
  table.tBodies[0].replaceChildren(
    ...rows.map(([name, value]) => {
      const row = document.createElement("tr");
      const before = facts(seed)[name] ?? "";
      row.classList.toggle("same", before === value);
      const head = element("th", "", capital(name));
      head.scope = "row";
      row.append(element("td", "", before || "–"), head, element("td", "", value || "–"));
      return row;
    }),
  );
}

function facts(product) {
  const attributes = Object.entries(product.attributes).map(([name, value]) => [spaced(name), [value].flat().join(", ")]);
  const category = capital(leaf([product.category].flat()[0]));
  return { category, brand: product.brand ?? "", price: price(product), ...Object.fromEntries(attributes) };
}

addEventListener("moved", () => $("why").close());
$("why").addEventListener("close", () => {
  // The card that it was opened from may have been replaced meanwhile.
  if (document.activeElement === document.body) $("title").focus({ preventScroll: true });
});
$("why").addEventListener("click", (event) => {
  if (event.target === $("why")) $("why").close(); // beside the box
});
