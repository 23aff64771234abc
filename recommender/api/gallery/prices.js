// The price range: two thumbs over the prices of the category, beside two fields for exact ones.
//
// A step of a thumb is the next price at which something changes: the prices of a sample, rounded. So
// cheap socks and a dear sofa in one category both have room.

import { ask } from "./api.js";
import { $, element, money } from "./dom.js";

const SAMPLE = 100;
const LEAST_STOPS = 3;
let sampled = { category: null, stops: [], currencies: [] };

const fields = $("filters").elements;
const thumbs = { low: $("price-low"), high: $("price-high") };

export async function renderPrices(state, signal) {
  if (sampled.category !== state.category) sampled = await sample(state.category, signal);
  const { stops, currencies } = sampled;
  $("price").hidden = !stops.length;
  $("price-range").hidden = stops.length < LEAST_STOPS;
  const chosen = state.query.get("currency") ?? "";
  const offered = [...new Set(["", ...currencies, chosen])];
  fields.currency.replaceChildren(...offered.map((code) => new Option(code || "any", code, false, code === chosen)));
  fields.currency.hidden = offered.length < 3; // with one currency there is nothing to choose
  for (const thumb of Object.values(thumbs)) thumb.max = stops.length - 1;
  placeThumbs();
}

async function sample(category, signal) {
  const parameters = new URLSearchParams({ limit: SAMPLE, ...(category && { category }) });
  const { items } = await ask(`/v1/products?${parameters}`, { signal });
  const prices = items.map(({ price }) => price).filter((price) => price !== null);
  const stops = [...new Set(prices.map(rounded))].sort((a, b) => a - b);
  const currencies = [...new Set(items.map(({ currency }) => currency).filter(Boolean))].sort();
  return { category, stops, currencies };
}

function rounded(price) {
  const unit = 10 ** Math.max(Math.floor(Math.log10(price || 1)) - 1, 0);
  return Math.round(price / unit) * unit;
}

// The fields hold the truth; an empty one has its thumb at the end.
function placeThumbs() {
  const { stops } = sampled;
  const last = stops.length - 1;
  const [low, high] = [fields.price_min.value, fields.price_max.value];
  const nearest = (price) => stops.reduce((best, stop, n) => (Math.abs(stop - price) < Math.abs(stops[best] - price) ? n : best), 0);
  thumbs.low.value = low === "" ? 0 : nearest(Number(low));
  thumbs.high.value = high === "" ? last : nearest(Number(high));
  for (const [thumb, bound] of [[thumbs.low, low], [thumbs.high, high]]) {
    thumb.setAttribute("aria-valuetext", bound === "" ? "any" : money(Number(bound), sampled.currencies.length === 1 ? sampled.currencies[0] : ""));
  }
  const share = (thumb) => (last > 0 ? `${(100 * Number(thumb.value)) / last}%` : "0%");
  $("price-range").style.setProperty("--low", share(thumbs.low));
  $("price-range").style.setProperty("--high", share(thumbs.high));
  thumbs.low.classList.toggle("over", Number(thumbs.low.value) > last / 2); // where both meet at an end, the one that can move
}

function slid(event) {
  const { stops } = sampled;
  const [low, high] = [Number(thumbs.low.value), Number(thumbs.high.value)];
  if (event.target === thumbs.low) fields.price_min.value = low <= 0 ? "" : stops[Math.min(low, high)];
  else fields.price_max.value = high >= stops.length - 1 ? "" : stops[Math.max(low, high)];
  placeThumbs();
}

for (const thumb of Object.values(thumbs)) thumb.addEventListener("input", slid);
for (const name of ["price_min", "price_max"]) fields[name].addEventListener("input", placeThumbs);
