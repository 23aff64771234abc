// The gallery: what is shown when. Its address says what; see address.js.

import { ask, keepKey, Problem, productUrl } from "./api.js";
import { cleared, FILTERS, filterParameters, kept, link, view } from "./address.js";
import { forgetCounts, renderCategories } from "./categories.js";
import { $, button, capital, clear, copy, leaf, plural, title } from "./dom.js";
import { fill, skeleton } from "./grid.js";
import { keepPhoto, photoOf, present, renderPhoto, renderProduct } from "./subject.js";

const PAGE = 24;
const MAX_ANSWERS = 1000;

const wide = matchMedia("(min-width: 50.01rem)");
let current = new AbortController(); // aborts what an earlier view still waits for

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
    if (moved && state.mode === "list") focusHeading();
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
  const photo = state.query.get("photo");
  if (state.mode === "product") await renderProduct(state.query.get("product"), signal);
  else if (photoOf(photo)) renderPhoto(photo);
  else return renderLostPhoto();
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
  form.append("file", photoOf(state.query.get("photo")));
  return ask("/v1/similar/image", { method: "POST", body: form, signal });
}

function renderLostPhoto() {
  present(null, "");
  fill([], view(), true);
  title("Find by photo");
  $("status").textContent = "";
  notice("This photo is no longer at hand", "Photos are not kept. Choose it again to see what looks like it.");
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

// ---- notices ----

function renderEmpty(state) {
  const filtered = state.category || FILTERS.some((name) => state.query.has(name));
  if (filtered || state.mode !== "list") {
    const box = notice("Nothing matches", "No product fits these filters. Widen them to see more.");
    const unfiltered = link(cleared(["category", ...FILTERS]), state.query);
    if (filtered) box.append(button("Clear the filters", () => go(unfiltered)));
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
    keepKey(input.value);
    forgetCounts();
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
  go(link(cleared(), view().query), { replace: true });
});

// ---- photos ----

function findByPhoto(file) {
  if (!file) return;
  go(link({ photo: keepPhoto(file), ...kept(view().query) }));
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
history.scrollRestoration = "manual";
fold();
render();
