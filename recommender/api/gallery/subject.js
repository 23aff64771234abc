// What was asked by: the product or the photo above the answers.

import { ask, productUrl } from "./api.js";
import { link } from "./address.js";
import { remember } from "./catalog.js";
import { $, copy, element, price, spaced } from "./dom.js";
import { photoOf } from "./photos.js";
import { photograph, picture } from "./pictures.js";

export function present(article, shows) {
  $("subject").replaceChildren(...(article ? [article] : []));
  $("subject").dataset.shows = shows;
}

export async function renderProduct(id, signal) {
  if ($("subject").dataset.shows === id) return; // only a filter changed
  const product = await ask(productUrl(id), { signal });
  remember([product]);
  const article = copy("product");
  const set = (selector, text) => {
    const target = article.querySelector(selector);
    if (text) target.textContent = text;
    else target.remove();
  };
  set(".name", product.title ?? product.id);
  set(".maker", product.brand);
  set(".cost", price(product));
  set(".stock", product.in_stock ? "In stock" : "Sold out");
  article.querySelector(".stock").classList.toggle("yes", product.in_stock);
  crumbs(article.querySelector(".crumbs"), [product.category].flat()[0]);
  facts(article.querySelector("dl"), product);
  pictures(article, product);
  const shop = article.querySelector(".shop");
  if (/^https?:\/\//i.test(product.url ?? "")) {
    shop.href = product.url;
    shop.hidden = false;
  }
  present(article, id);
}

export function renderPhoto(name) {
  if ($("subject").dataset.shows === `photo ${name}`) return;
  const article = copy("upload");
  article.querySelector(".file").textContent = photoOf(name).name;
  photograph(article.querySelector(".frame"), photoOf(name), "The photo that you chose");
  present(article, `photo ${name}`);
}

function crumbs(target, path) {
  const levels = path.split("/");
  levels.forEach((level, depth) => {
    const anchor = element("a", "leaf", spaced(level));
    anchor.href = link({ category: levels.slice(0, depth + 1).join("/") });
    anchor.dataset.link = "";
    if (depth) target.append(element("span", "", "/"));
    target.append(anchor);
  });
}

function facts(target, product) {
  for (const [name, value] of Object.entries({ ...product.attributes, ID: product.id })) {
    target.append(element("dt", "", spaced(name)), element("dd", "", [value].flat().join(", ")));
  }
}

function pictures(article, product) {
  const large = article.querySelector(".frame");
  const others = article.querySelector(".others");
  const name = product.title ?? product.id;
  picture(large, product.id, 0, 720, name);
  if (product.images.length < 2) return others.remove();
  product.images.forEach((_, n) => {
    const button = document.createElement("button");
    const frame = element("span", "frame");
    button.type = "button";
    button.setAttribute("aria-pressed", String(n === 0));
    button.setAttribute("aria-label", `Picture ${n + 1} of ${product.images.length}`);
    picture(frame, product.id, n, 160, "");
    button.append(frame);
    button.onclick = () => {
      for (const other of others.children) other.setAttribute("aria-pressed", String(other === button));
      picture(large, product.id, n, 720, `${name}, picture ${n + 1}`);
    };
    others.append(button);
  });
}
