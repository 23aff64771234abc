// Photos to ask by: chosen, dropped on the page or pasted. They stay in memory.

import { kept, link, view } from "./address.js";
import { $ } from "./dom.js";
import { go } from "./moving.js";

const photos = new Map(); // name in the address -> File

export const photoOf = (name) => photos.get(name);

function findByPhoto(file) {
  if (!file) return;
  const name = Date.now().toString(36);
  photos.set(name, file);
  go(link({ photo: name }, kept(view().query)));
}

const carriesFile = (transfer) => [...(transfer?.types ?? [])].includes("Files");

$("photo").addEventListener("change", (event) => {
  findByPhoto(event.target.files[0]);
  event.target.value = ""; // the same file again is a change too
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (!file) return; // text goes where it was meant to
  event.preventDefault();
  findByPhoto(file);
});
addEventListener("dragover", (event) => {
  if (!carriesFile(event.dataTransfer)) return;
  event.preventDefault();
  $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
addEventListener("drop", (event) => {
  if (!carriesFile(event.dataTransfer)) return;
  event.preventDefault();
  $("drop").hidden = true;
  findByPhoto(event.dataTransfer.files[0]);
});
