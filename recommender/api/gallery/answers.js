// What the grid shows: a list of products, or what looks like what was asked, a page at a time.

import { ask } from "./api.js";
import { filterParameters, link } from "./address.js";
import { $, capital, clear, leaf, plural, title } from "./dom.js";
import { fill } from "./grid.js";
import { notice, renderEmpty, renderProblem, renderRelaxed, renderScarce } from "./notices.js";
import { photoOf } from "./photos.js";
import { similar } from "./question.js";
import { present, renderPhoto, renderProduct } from "./subject.js";

const PAGE = 24;
const MAX_ANSWERS = 1000;

export async function renderList(state, { signal, atLeast, counted }) {
  present(null, "");
  title(state.category ? capital(leaf(state.category)) : "All products");
  let cursor = null;
  let shown = 0;
  const say = (total) => {
    const known = cursor === null ? shown : total;
    if (!shown) $("status").textContent = "";
    else if (known > shown) $("status").textContent = `${shown.toLocaleString()} of ${plural(known, "product")} shown`;
    else $("status").textContent = `${plural(shown, "product")} shown${cursor ? ", there are more" : ""}`;
  };
  const page = async () => {
    const parameters = filterParameters(state);
    parameters.set("limit", PAGE);
    if (cursor) parameters.set("cursor", cursor);
    const answer = await ask(`/v1/products?${parameters}`, { signal });
    fill(answer.items, state, shown === 0);
    cursor = answer.cursor;
    shown += answer.items.length;
    say();
    counted.then((total) => signal.aborted || say(total));
    if (!shown) renderEmpty(state);
    return cursor !== null;
  };
  await paged(page, state, signal, atLeast);
}

export async function renderAnswers(state, { signal, atLeast, onSubject }) {
  if (state.product) await renderProduct(state.product, signal);
  else if (!state.photo) present(null, "");
  else if (photoOf(state.photo)) renderPhoto(state.photo);
  else return renderLostPhoto(state);
  if (state.subject) onSubject();
  title(heading(state), document.querySelector("#subject .name")?.textContent);
  let shown = 0;
  const page = async () => {
    const answer = await similar(state, { limit: PAGE, offset: shown }, signal);
    fill(answer.items, state, shown === 0);
    shown += answer.items.length;
    const more = answer.items.length === PAGE && shown + PAGE <= MAX_ANSWERS;
    $("status").textContent = shown ? said(shown, state) : "";
    renderRelaxed(answer.relaxed, state);
    if (!shown) renderEmpty(state);
    else if (!more) renderScarce(shown, state);
    return more;
  };
  await paged(page, state, signal, atLeast);
}

function heading({ subject, text, positive, hasSeed }) {
  if (!hasSeed) return `“${text}”`;
  return subject || positive.length === 1 ? "Looks like this" : "Looks like these";
}

function said(shown, { query, hasSeed }) {
  const order = Number(query.get("diversity")) ? "varied" : "the closest first";
  return `${plural(shown, "lookalike")}, ${order}${hasSeed ? "; 1.00 is the same picture" : ""}`;
}

function renderLostPhoto(state) {
  present(null, "");
  fill([], state, true);
  title("Find by photo");
  $("status").textContent = "";
  notice("This photo is no longer at hand", "Photos are not kept. Choose it again to see what looks like it.");
}

async function paged(page, state, signal, atLeast) {
  const more = $("more");
  const grid = $("grid");
  more.hidden = !(await page());
  while (!more.hidden && grid.children.length < atLeast) more.hidden = !(await page());
  more.onclick = async () => {
    more.disabled = true;
    const first = grid.children.length;
    clear($("notice"));
    try {
      more.hidden = !(await page());
      grid.children[first]?.querySelector("a").focus();
    } catch (error) {
      if (!signal.aborted) renderProblem(error, state, signal, more.onclick);
    } finally {
      more.disabled = false;
    }
  };
}
