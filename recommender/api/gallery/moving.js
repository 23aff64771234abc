// Going from one address to the next, without loading the page again.

import { $ } from "./dom.js";

// `open` shows something else, `refine` narrows what is shown (no step back of its own), `steer` asks anew.
export function go(url, kind = "open") {
  if (kind === "refine") history.replaceState(history.state, "", url);
  else {
    history.replaceState({ scroll: scrollY, shown: $("grid").children.length }, "");
    history.pushState({}, "", url);
  }
  dispatchEvent(new CustomEvent("moved", { detail: { kind } }));
}

addEventListener("click", (event) => {
  const anchor = event.target.closest("a[data-link]");
  if (!anchor || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(anchor.href);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // an address of its own would be a step back
  $("title").focus();
});
addEventListener("popstate", (event) => dispatchEvent(new CustomEvent("moved", { detail: { kind: "back", ...event.state } })));
history.scrollRestoration = "manual";
