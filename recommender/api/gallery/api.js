// The query API, and the key that it may ask for.

const KEY = "lookalike-api-key";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const productUrl = (id) => `/v1/products/${encodeURIComponent(id)}`;

function authorized(options = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...options, headers: { "X-API-Key": key } } : options;
}

export async function ask(url, options = {}) {
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

// For an <img>, which can't send a key itself: the picture as a blob: URL.
export async function fetched(url) {
  const response = await fetch(url, authorized());
  if (!response.ok) throw new Problem(response.status, "There is no picture.");
  return URL.createObjectURL(await response.blob());
}
