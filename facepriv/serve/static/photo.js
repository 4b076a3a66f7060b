// One photo: taken into the server's memory, its faces, the result of every change of a control.

import { ask } from "./controls.js";
import { $, coalesced, el, receiveBytes, send, sendBytes, tell, Trouble } from "./dom.js";
import { aims, figures } from "./figures.js";
import * as viewer from "./viewer.js";

let file = null;
let photo = null; // { id, name, width, height, found }
let listener = () => {};

export const current = () => photo;

/** Connect the page's elements; `changed` is called when there is a new photo, or its faces were found again. */
export function setUp(changed) {
  listener = changed;
  viewer.setUp();
  $("file").addEventListener("change", () => $("file").files.length && take($("file").files[0]));
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  $("download").addEventListener("click", download);
  addEventListener("pagehide", () => photo && navigator.sendBeacon(`api/photos/${photo.id}/close`));
}

async function take(chosen) {
  const before = photo;
  file = chosen;
  photo = null;
  $("viewer").hidden = true;
  showFaces(null);
  listener();
  tell($("photo-trouble"), "");
  $("photo-status").textContent = `${file.name}: the faces are searched.`;
  if (before) send(`api/photos/${before.id}/close`, {}).catch(() => {});
  await open();
}

async function open() {
  const mine = file;
  try {
    const name = mine.name.toWellFormed ? mine.name.toWellFormed() : mine.name;
    const made = await sendBytes(`api/photos?name=${encodeURIComponent(name)}`, mine);
    if (file !== mine) {
      send(`api/photos/${made.id}/close`, {}).catch(() => {}); // another photo was chosen meanwhile
      return;
    }
    photo = made;
    await searchFaces();
  } catch (error) {
    if (file !== mine) return;
    photo = null;
    $("photo-status").textContent = "";
    tell($("photo-trouble"), error.message);
  }
}

/** Find the faces again, as with another detector. */
export async function searchFaces() {
  const mine = photo;
  if (!mine) return;
  try {
    mine.found = await send(`api/photos/${mine.id}/faces`, ask());
  } catch (error) {
    if (photo === mine) failed(error);
    return;
  }
  if (photo !== mine) return;
  viewer.begin(mine.name, mine, mine.found);
  listener();
  await update();
}

/** Work out the result of the form, and show it. */
export const update = coalesced(async (outdated) => {
  const mine = photo;
  if (!mine || !mine.found) return;
  const { found } = mine;
  $("panel-photo").setAttribute("aria-busy", "true");
  try {
    const result = await send(`api/photos/${mine.id}/show`, ask());
    if (photo !== mine || mine.found !== found || outdated()) return; // another photo, or other faces
    tell($("photo-trouble"), "");
    viewer.update(result);
    showFaces(result);
    $("photo-status").textContent = summary(mine);
    $("download").disabled = !mine.found.boxes.length;
  } catch (error) {
    if (photo === mine && !outdated()) failed(error);
  } finally {
    $("panel-photo").setAttribute("aria-busy", "false");
  }
});

function failed(error) {
  if (error instanceof Trouble && error.status === 410) {
    $("photo-status").textContent = `${file.name}: the server forgot it, so it is sent again.`;
    open();
    return;
  }
  tell($("photo-trouble"), error.message);
  $("photo-status").textContent = "";
  $("download").disabled = true;
  showFaces(null);
  if (photo && photo.found) viewer.begin(photo.name, photo, photo.found);
}

function summary(mine) {
  const { boxes, faces, small, uncertain } = mine.found;
  if (!boxes.length) return `${mine.name}: no face found, so nothing is protected.`;
  const parts = [`${boxes.length} face${boxes.length === 1 ? "" : "s"} found`];
  if (small) parts.push(`${small} small, hard to protect`);
  if (uncertain) parts.push(`${uncertain} uncertain: a face without a frame is NOT protected`);
  if (faces.length < boxes.length) parts.push(`figures for the first ${faces.length}`);
  return `${mine.name}, ${mine.width} x ${mine.height}: ${parts.join("; ")}.`;
}

function showFaces(result) {
  const faces = result ? result.faces : [];
  $("faces-title").hidden = $("faces-note").hidden = !faces.length;
  $("faces").replaceChildren(
    ...faces.map((face, n) => {
      const shown = [["before", photo.found.faces[n].before], ["after", face.after], ["change, x4", face.change]];
      const pictures = shown.map(([words, source]) =>
        el("figure", {}, el("img", { src: source, alt: `Face ${n + 1}, ${words}` }), el("figcaption", {}, words)),
      );
      const zoom = el("button", { type: "button", onclick: () => viewer.choose(n) }, "Zoom in");
      zoom.setAttribute("aria-label", `Zoom in on face ${n + 1}`);
      return el(
        "article",
        { className: "face", "aria-label": `Face ${n + 1}` },
        el("div", { className: "row" }, el("h3", {}, `Face ${n + 1}`), zoom),
        el("p", { className: "caption" }, aims(face)),
        el("div", { className: "triple" }, ...pictures),
        figures(face),
      );
    }),
  );
}

async function download() {
  const mine = photo;
  $("download").disabled = true;
  try {
    const bytes = await receiveBytes(`api/photos/${mine.id}/download`, ask());
    const address = URL.createObjectURL(bytes);
    el("a", { href: address, download: mine.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    failed(error);
  } finally {
    $("download").disabled = false;
  }
}
