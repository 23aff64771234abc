// The gallery. What it shows is said by the URL, so links, reload and the back button just work:
//   ?category=PATH          products of a category (none: all)
//   ?product=ID             a product, and what looks like it
//   ?photo=NAME             what looks like an uploaded photo (kept in memory only)
// and on top of each: category, in_stock, price_min, price_max, group.

const PAGE = 24;
const MAX_ANSWERS = 1000;
const FILTERS = ["in_stock", "price_min", "price_max", "group"];
const KEY = "lookalike-api-key";

const photos = new Map(); // name in the URL -> File
const wide = matchMedia("(min-width: 50.01rem)");
const $ = (id) => document.getElementById(id);
let current = new AbortController(); // aborts what an earlier view still waits for
let counts = null;

// ---- the API ----

class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function authorized(options = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...options, headers: { "X-API-Key": key } } : options;
}

async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, authorized(options));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server can't be reached.");
  }
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  throw new Problem(response.status, body.detail ?? `The server answered ${response.status}.`);
}

const productUrl = (id) => `/v1/products/${encodeURIComponent(id)}`;

// ---- the view, as the URL says it ----

function view() {
  const query = new URLSearchParams(location.search);
  const mode = query.has("product") ? "product" : query.has("photo") ? "photo" : "list";
  return { mode, query, category: query.get("category") ?? "" };
}

function link(changes, base = new URLSearchParams()) {
  const query = new URLSearchParams(base);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  return query.size ? `/?${query}` : "/";
}

function filterParameters({ mode, query, category }) {
  const parameters = new URLSearchParams();
  if (category) parameters.set("category", category);
  for (const name of FILTERS) {
    if (query.has(name) && (name !== "group" || mode !== "list")) parameters.set(name, query.get(name));
  }
  return parameters;
}

function go(url, { replace = false } = {}) {
  if (replace) history.replaceState({}, "", url);
  else {
    history.replaceState({ ...history.state, scroll: scrollY }, "");
    history.pushState({}, "", url);
  }
  render({ moved: !replace });
}

// ---- rendering ----

async function render({ moved = false, scroll = 0 } = {}) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const state = view();
  syncFilters(state);
  clear($("notice"));
  $("more").hidden = true;
  $("status").textContent = "Looking…";
  skeleton();
  try {
    await renderCategories(state, signal);
    if (state.mode === "list") await renderList(state, signal);
    else await renderAnswers(state, signal, moved);
    if (moved) focusHeading();
    else if (scroll) scrollTo(0, scroll);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    renderProblem(error);
  }
}

function focusHeading() {
  scrollTo(0, 0);
  (document.querySelector("#subject h2") ?? $("title")).focus({ preventScroll: true });
}

async function renderCategories(state, signal) {
  counts ??= (await ask("/v1/categories", { signal })).categories;
  const paths = Object.keys(counts).sort();
  const build = (parent) => {
    const depth = parent ? parent.split("/").length : 0;
    const children = paths.filter((path) => path.split("/").length === depth + 1 && (!parent || path.startsWith(`${parent}/`)));
    if (!children.length) return null;
    const list = document.createElement("ul");
    if (!parent) list.append(categoryItem("", "All", null, state));
    for (const path of children) {
      const item = categoryItem(path, leaf(path), counts[path], state);
      const open = state.category === path || state.category.startsWith(`${path}/`);
      const below = open ? build(path) : null;
      if (below) item.append(below);
      list.append(item);
    }
    return list;
  };
  $("categories").replaceChildren(build("") ?? "");
  $("browse-title").textContent = state.mode === "list" ? "Categories" : "Look in";
  $("chosen").textContent = state.category ? state.category.split("/").map(spaced).join(" / ") : "All";
}

function categoryItem(path, name, count, state) {
  const item = document.createElement("li");
  const anchor = document.createElement("a");
  anchor.href = link({ category: path }, state.query);
  anchor.dataset.link = "";
  if (path === state.category) anchor.setAttribute("aria-current", "true");
  anchor.append(element("span", "name leaf", name));
  if (count !== null) {
    const number = element("span", "count", count.toLocaleString());
    number.setAttribute("aria-label", `${count} products`);
    anchor.append(number);
  }
  item.append(anchor);
  return item;
}

async function renderList(state, signal) {
  present(null, "");
  const name = state.category ? capital(leaf(state.category)) : "All products";
  title(name);
  let cursor = null;
  let shown = 0;
  const page = async () => {
    const parameters = filterParameters(state);
    parameters.set("limit", PAGE);
    if (cursor) parameters.set("cursor", cursor);
    const answer = await ask(`/v1/products?${parameters}`, { signal });
    cursor = answer.cursor;
    fill(answer.items, state, shown === 0);
    shown += answer.items.length;
    $("status").textContent = shown ? `${plural(shown, "product")} shown${cursor ? ", there are more" : ""}` : "";
    if (!shown) renderEmpty(state);
    return cursor !== null;
  };
  await paged(page, signal);
}

async function renderAnswers(state, signal, moved) {
  if (state.mode === "product") await renderProduct(state, signal);
  else if (!renderPhoto(state)) return;
  if (moved) focusHeading();
  title("Looks like this", document.querySelector("#subject .name").textContent);
  let shown = 0;
  const page = async () => {
    const answer = await similar(state, shown, signal);
    fill(answer.items, state, shown === 0);
    shown += answer.items.length;
    $("status").textContent = shown
      ? `${plural(shown, "lookalike")}, the closest first; 1.00 is the same picture`
      : "";
    if (!shown) renderEmpty(state);
    return answer.items.length === PAGE && shown + PAGE <= MAX_ANSWERS;
  };
  await paged(page, signal);
}

function similar(state, offset, signal) {
  const parameters = filterParameters(state);
  parameters.set("limit", PAGE);
  parameters.set("offset", offset);
  if (state.mode === "product") {
    return ask(`${productUrl(state.query.get("product"))}/similar?${parameters}`, { signal });
  }
  const form = new FormData();
  for (const [name, value] of parameters) form.append(name, value);
  form.append("file", photos.get(state.query.get("photo")));
  return ask("/v1/similar/image", { method: "POST", body: form, signal });
}

async function paged(page, signal) {
  const more = $("more");
  more.hidden = !(await page());
  more.onclick = async () => {
    more.disabled = true;
    const first = $("grid").children.length;
    try {
      more.hidden = !(await page());
      $("grid").children[first]?.querySelector("a").focus();
    } catch (error) {
      if (!signal.aborted) renderProblem(error);
    } finally {
      more.disabled = false;
    }
  };
}

async function renderProduct(state, signal) {
  const id = state.query.get("product");
  if ($("subject").dataset.shows === id) return; // only a filter changed
  const product = await ask(productUrl(id), { signal });
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

function present(article, shows) {
  $("subject").replaceChildren(...(article ? [article] : []));
  $("subject").dataset.shows = shows;
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
  picture(large, product, 0, 720, name);
  if (product.images.length < 2) return others.remove();
  product.images.forEach((_, n) => {
    const button = document.createElement("button");
    const frame = element("span", "frame");
    button.type = "button";
    button.setAttribute("aria-pressed", String(n === 0));
    button.setAttribute("aria-label", `Picture ${n + 1} of ${product.images.length}`);
    picture(frame, product, n, 160, "");
    button.append(frame);
    button.onclick = () => {
      for (const other of others.children) other.setAttribute("aria-pressed", String(other === button));
      picture(large, product, n, 720, `${name}, picture ${n + 1}`);
    };
    others.append(button);
  });
}

function renderPhoto(state) {
  const name = state.query.get("photo");
  const photo = photos.get(name);
  if (!photo) {
    present(null, "");
    clear($("grid"));
    title("Find by photo");
    $("status").textContent = "";
    notice("This photo is no longer at hand", "Photos are not kept. Choose it again to see what looks like it.");
    return false;
  }
  if ($("subject").dataset.shows === `photo ${name}`) return true;
  const article = copy("upload");
  article.querySelector(".file").textContent = photo.name;
  const image = new Image();
  image.alt = "The photo that you chose";
  show(image, URL.createObjectURL(photo), article.querySelector(".frame"));
  present(article, `photo ${name}`);
  return true;
}

// ---- the grid ----

function fill(items, state, fresh) {
  const grid = $("grid");
  grid.classList.remove("waiting");
  grid.removeAttribute("aria-busy");
  if (fresh) clear(grid);
  grid.append(...items.map((item) => card(item, state)));
}

function card(item, state) {
  const entry = copy("card");
  const anchor = entry.querySelector("a");
  const keep = Object.fromEntries(FILTERS.map((name) => [name, state.query.get(name)]));
  anchor.href = link({ product: item.id, ...keep });
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

function skeleton() {
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

async function picture(frame, product, n, px, alt) {
  const url = `${productUrl(product.id)}/images/${n}?px=${px}`;
  const image = new Image();
  image.alt = alt;
  if (!sessionStorage.getItem(KEY)) {
    if (px < 500) image.loading = "lazy";
    return show(image, url, frame);
  }
  // An <img> can't send a key: fetched, and shown from memory.
  try {
    const response = await fetch(url, authorized());
    if (!response.ok) throw new Problem(response.status, "no picture");
    show(image, URL.createObjectURL(await response.blob()), frame);
  } catch {
    frame.textContent = "No picture";
  }
}

function show(image, url, frame) {
  const release = () => url.startsWith("blob:") && URL.revokeObjectURL(url);
  image.addEventListener("load", release);
  image.addEventListener("error", () => {
    release();
    frame.textContent = "No picture";
  });
  image.src = url;
  frame.replaceChildren(image);
}

// ---- notices ----

function renderEmpty(state) {
  const filtered = state.category || FILTERS.some((name) => state.query.has(name));
  if (filtered || state.mode !== "list") {
    const box = notice("Nothing matches", "No product fits these filters. Widen them to see more.");
    if (filtered) box.append(button("Clear the filters", () => go(link(cleared(), state.query))));
  } else {
    notice("Nothing here yet", "Publish products, and they appear here as soon as they are indexed.");
  }
}

function renderProblem(error) {
  fill([], view(), true);
  clear($("notice"));
  $("more").hidden = true;
  $("status").textContent = "";
  if (error.status === 401) return askForKey();
  if (view().mode === "product" && error.status === 404) {
    present(null, "");
    title("No such product");
  }
  const box = notice(error.status === 404 ? "Not found" : "That did not work", error.message);
  box.setAttribute("role", "alert");
  box.append(button("Try again", () => render()));
}

function askForKey() {
  const form = copy("ask-key");
  const input = form.querySelector("input");
  form.onsubmit = (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, input.value);
    counts = null;
    render();
  };
  $("notice").replaceChildren(form);
  title("Lookalike");
  input.focus();
}

function notice(heading, text) {
  const box = copy("message");
  box.querySelector("h2").textContent = heading;
  box.querySelector("p").textContent = text;
  $("notice").replaceChildren(box);
  return box;
}

// ---- filters ----

const cleared = () => Object.fromEntries(["category", ...FILTERS].map((name) => [name, ""]));

function syncFilters({ mode, query }) {
  const form = $("filters");
  for (const name of FILTERS) {
    const input = form.elements[name];
    if (input.type === "checkbox") input.checked = query.get(name) === "true";
    else if (input !== document.activeElement) input.value = query.get(name) ?? "";
  }
  form.querySelector(".only-similar").hidden = mode === "list";
  $("clear").hidden = !FILTERS.some((name) => query.has(name));
}

function readFilters() {
  const changes = {};
  for (const name of FILTERS) {
    const input = $("filters").elements[name];
    if (input.type === "checkbox") changes[name] = input.checked ? "true" : "";
    else if (input.validity.valid) changes[name] = input.value;
  }
  go(link(changes, view().query), { replace: true });
}

let typing;
$("filters").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(readFilters, event.target.type === "number" ? 350 : 0);
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("reset", (event) => {
  event.preventDefault();
  $("title").focus({ preventScroll: true }); // the button is about to vanish
  go(link(Object.fromEntries(FILTERS.map((name) => [name, ""])), view().query), { replace: true });
});

// ---- photos ----

function findByPhoto(file) {
  if (!file) return;
  const name = Date.now().toString(36);
  photos.set(name, file);
  const keep = Object.fromEntries(FILTERS.map((filter) => [filter, view().query.get(filter)]));
  go(link({ photo: name, ...keep }));
}

$("photo").addEventListener("change", (event) => {
  findByPhoto(event.target.files[0]);
  event.target.value = ""; // the same file again is a change too
});

const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("drop").hidden = true;
  findByPhoto(event.dataTransfer.files[0]);
});

// ---- moving about ----

addEventListener("click", (event) => {
  const anchor = event.target.closest("a[data-link]");
  if (!anchor || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (!wide.matches) $("browse").open = false;
  go(anchor.href);
});
addEventListener("popstate", (event) => render({ scroll: event.state?.scroll ?? 0 }));

const fold = () => { $("browse").open = wide.matches; };
wide.addEventListener("change", fold);

// ---- small things ----

const clear = (node) => node.replaceChildren();
const copy = (id) => $(id).content.firstElementChild.cloneNode(true);
const spaced = (text) => text.replaceAll(/[_-]+/g, " ");
const leaf = (path) => spaced(path.split("/").at(-1));
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

function button(text, onclick) {
  const node = element("button", "button", text);
  node.type = "button";
  node.onclick = onclick;
  return node;
}

function title(text, subject = text) {
  $("title").textContent = text;
  document.title = subject === "All products" ? "Lookalike" : `${subject} · Lookalike`;
}

function price({ price: amount, currency }) {
  if (amount === null) return "";
  if (!currency) return amount.toLocaleString();
  return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(amount);
}

history.scrollRestoration = "manual";
fold();
render();
