// What is said where something is missing, went wrong, or was answered otherwise than asked.

import { filterParameters, link, RELAX, ruleParameters, withoutFilters } from "./address.js";
import { $, button, clear, copy, leaf, money, plural, spaced, title } from "./dom.js";
import { fill } from "./grid.js";
import { go } from "./moving.js";
import { present } from "./subject.js";

const FEW = 12;

export function notice(heading, text) {
  const box = copy("message");
  box.querySelector("h2").textContent = heading;
  box.querySelector("p").textContent = text;
  $("notice").replaceChildren(box);
  return box;
}

export function renderEmpty(state) {
  const filtered = filterParameters(state).size > 0;
  if (!filtered && !state.asks) {
    notice("Nothing here yet", "Publish products, and they appear here as soon as they are indexed.");
  } else if (!filtered) {
    notice("Nothing looks like this", "No other product is left. Take back a dislike, or a rule, to see more.");
  } else {
    const box = notice("Nothing matches", "No product fits these filters. Widen them to see more.");
    if (mayRelax(state)) box.append(button("Show what comes close", () => relax(state)));
    box.append(button("Clear the filters", () => go(withoutFilters(state.query), "refine")));
  }
}

// Few answers under filters: what would come close is offered.
export function renderScarce(shown, state) {
  if (shown >= FEW || !mayRelax(state)) return;
  const box = notice(`Only ${plural(shown, "product")} fit${shown === 1 ? "s" : ""}`, "Filters can be relaxed step by step until enough do.");
  box.append(button("Show what comes close", () => relax(state)));
}

const mayRelax = (state) =>
  state.asks && !state.query.has("relax") && [...filterParameters(state), ...ruleParameters(state)].some(relaxable);
const relaxable = ([name, value]) =>
  name === "category" ? value.includes("/") : /^(attr\..*|price_min|price_max|price_within|not_dearer)$/.test(name);
const relax = ({ query }) => go(link({ relax: RELAX }, query), "refine");

export function renderRelaxed(steps, state) {
  clear($("relaxed"));
  if (!steps.length) return;
  const box = copy("relaxed-note");
  box.querySelector("span").textContent = `Too few products fit, so filters were relaxed: ${steps.map(step).join("; ")}.`;
  box.append(button("Hold to the filters", () => go(link({ relax: [] }, state.query), "refine"), "button quiet"));
  $("relaxed").replaceChildren(box);
}

function step(relaxed) {
  if (relaxed.step === "attributes") return `any ${relaxed.dropped.map(spaced).join(", any ")}`;
  if (relaxed.step === "category") return `all of ${relaxed.category.map(leaf).join(", ")}`;
  const { price_min: low, price_max: high } = relaxed;
  return ["prices", low !== null && `from ${money(low)}`, high !== null && `to ${money(high)}`].filter(Boolean).join(" ");
}

export function renderProblem(error, state, signal, again) {
  const failedFurther = $("grid").children.length && !$("grid").classList.contains("waiting");
  if (!failedFurther) fill([], state, true);
  clear($("relaxed"));
  $("more").hidden = true;
  $("status").textContent = "";
  if (error.status === 404 && state.product) {
    present(null, "");
    title("No such product");
    $("rules").hidden = true;
  }
  const box = notice(error.title, error.message);
  box.querySelector(".said").setAttribute("role", "alert");
  const retry = button("Try again", again);
  box.append(retry);
  if (error.wait) countDown(error.wait, box.querySelector(".when"), retry, signal);
}

// The server said when it wants to be asked again: it is, unless something else is shown by then.
function countDown(seconds, target, retry, signal) {
  const due = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((due - performance.now()) / 1000);
    if (signal.aborted || !retry.isConnected) return;
    if (left <= 0) return retry.click();
    target.textContent = `Trying again in ${plural(left, "second")}.`;
    setTimeout(tick, 250);
  };
  target.hidden = false;
  tick();
}

export function askForKey(opened) {
  const form = copy("ask-key");
  const input = form.querySelector("input");
  form.onsubmit = (event) => {
    event.preventDefault();
    opened(input.value);
  };
  fill([], null, true);
  $("status").textContent = "";
  $("notice").replaceChildren(form);
  title("Lookalike");
  input.focus();
}
