// The query API, and the key that it may ask for.

const KEY = "lookalike-api-key";

export class Problem extends Error {
  constructor(status, { title = "That did not work", detail = `The server answered ${status}.` } = {}, wait = null) {
    super(detail);
    this.status = status;
    this.title = title;
    this.wait = wait; // seconds after which the server wants to be asked again
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const productUrl = (id) => `/v1/products/${encodeURIComponent(id)}`;

function authorized({ headers, ...options } = {}) {
  const key = sessionStorage.getItem(KEY);
  return { ...options, headers: key ? { ...headers, "X-API-Key": key } : headers };
}

export async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, authorized(options));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No connection", detail: "The server can't be reached." });
  }
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After") ?? NaN);
  throw new Problem(response.status, body, Number.isFinite(wait) ? wait : null);
}

export const send = (url, body, signal) =>
  ask(url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });

// For an <img>, which can't send a key itself: the picture as a blob: URL.
export async function fetched(url) {
  const response = await fetch(url, authorized());
  if (!response.ok) throw new Problem(response.status, { detail: "There is no picture." });
  return URL.createObjectURL(await response.blob());
}
