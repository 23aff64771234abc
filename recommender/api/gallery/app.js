// The gallery: what is shown when. Its address says what; see address.js.

import { keepKey, Problem } from "./api.js";
import { view } from "./address.js";
import { renderAnswers, renderList } from "./answers.js";
import { catalog } from "./catalog.js";
import { $, clear } from "./dom.js";
import { forgetCounts, renderCounts } from "./counts.js";
import { syncFilters } from "./filters.js";
import { skeleton } from "./grid.js";
import "./keys.js";
import { askForKey, renderProblem } from "./notices.js";
import { syncRules } from "./rules.js";
import { syncSearch } from "./search.js";
import { renderSteering } from "./steer.js";

const wide = matchMedia("(min-width: 56.01rem)");
let current = new AbortController(); // aborts what an earlier view still waits for

async function render({ kind, scroll = 0, shown = 0 } = {}) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const state = view();
  clear($("notice"));
  clear($("relaxed"));
  $("more").hidden = true;
  $("status").textContent = "Looking…";
  skeleton();
  try {
    const about = await catalog(signal);
    syncSearch(state, about);
    syncFilters(state);
    syncRules(state, about);
    renderSteering(state, signal);
    const counted = renderCounts(state, about, signal);
    if (kind === "open" && !wide.matches) fold();
    if (state.asks) await renderAnswers(state, { signal, atLeast: shown, onSubject: () => kind === "open" && focusHeading() });
    else await renderList(state, { signal, atLeast: shown, counted });
    if (kind === "open" && !state.subject) focusHeading();
    else if (kind === "steer") focusAnswers();
    else if (scroll) scrollTo(0, scroll);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    if (error.status === 401) askForKey(opened);
    else renderProblem(error, state, signal, () => render({ kind, shown }));
  }
}

function opened(key) {
  keepKey(key);
  forgetCounts();
  render();
}

function focusHeading() {
  scrollTo(0, 0);
  (document.querySelector("#subject h2") ?? $("title")).focus({ preventScroll: true });
}

function focusAnswers() {
  $("title").focus({ preventScroll: true });
  if ($("answers").getBoundingClientRect().top < 0) $("answers").scrollIntoView();
}

function fold() {
  for (const id of ["browse", "narrow"]) $(id).open = wide.matches;
}

addEventListener("moved", ({ detail }) => render(detail));
wide.addEventListener("change", fold);
fold();
render();
