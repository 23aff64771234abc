// Small things around the document.

export const $ = (id) => document.getElementById(id);
export const clear = (node) => node.replaceChildren();
export const copy = (id) => $(id).content.firstElementChild.cloneNode(true);
export const spaced = (text) => text.replaceAll(/[_-]+/g, " ");
export const leaf = (path) => spaced(path.split("/").at(-1));
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

export function element(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

export function button(text, onclick, className = "button") {
  const node = element("button", className, text);
  node.type = "button";
  node.onclick = onclick;
  return node;
}

export function title(text, subject = text) {
  $("title").textContent = text;
  document.title = subject === "All products" ? "Lookalike" : `${subject} · Lookalike`;
}

export function money(amount, currency) {
  if (!currency) return amount.toLocaleString();
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(amount);
  } catch { // no code that the browser knows
    return `${amount.toLocaleString()} ${currency}`;
  }
}

export const price = ({ price: amount, currency }) => (amount === null ? "" : money(amount, currency));
