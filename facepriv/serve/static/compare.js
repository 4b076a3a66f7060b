// Side by side: every installed method on the same photo, one after the other.

import { ask, methods, settingFields } from "./controls.js";
import { $, coalesced, el, send } from "./dom.js";
import { aims, figures } from "./figures.js";
import { current } from "./photo.js";

let results = new Map(); // method -> {result} or {problem}
let drawn = new Map(); // method -> its card
let visible = false;

export function setUp() {
  $("compare-face").addEventListener("input", draw);
  $("compare-change").addEventListener("input", draw);
}

/** Say whether this part is shown: the work is done only then. */
export function shown(now) {
  visible = now;
  if (!visible) return;
  drawn = new Map(); // the settings may have changed elsewhere
  update();
}

/** Forget all results, as after a change of a control, and work them out again if this part is shown. */
export function outdated() {
  results = new Map();
  if (visible) update();
}

const update = coalesced(async (again) => {
  const photo = current();
  if (!photo || !photo.found) {
    $("compare-head").hidden = true;
    $("grid").replaceChildren();
    $("compare-status").textContent = "Choose a photo: every installed method is then applied to it.";
    return;
  }
  const count = photo.found.faces.length;
  if ($("compare-face").length !== count) {
    $("compare-face").replaceChildren(...photo.found.faces.map((_, n) => el("option", { value: n }, `Face ${n + 1}`)));
  }
  $("compare-head").hidden = !count;
  if (!count) {
    $("compare-status").textContent = "No face was found in this photo.";
    $("grid").replaceChildren();
    return;
  }
  cards();
  const todo = methods().filter((method) => !results.has(method.name));
  for (const method of todo) {
    $("compare-status").textContent = `${method.name} is applied.`;
    const found = await one(photo, method);
    if (again() || current() !== photo || !visible) return;
    results.set(method.name, found);
    draw();
  }
  $("compare-status").textContent = `${methods().length} methods, all installed ones.`;
});

async function one(photo, method) {
  if (method.problem) return { problem: method.problem };
  try {
    return { result: await send(`api/photos/${photo.id}/show`, { ...ask(method.name), whole: false }) };
  } catch (error) {
    return { problem: error.message };
  }
}

function cards() {
  if (drawn.size) {
    $("grid").replaceChildren(original(), ...drawn.values());
    draw();
    return;
  }
  for (const method of methods()) {
    const fields = settingFields(method, () => {
      results.delete(method.name);
      update();
    });
    const settings = fields ? [el("details", {}, el("summary", {}, `Settings of ${method.name}`), fields)] : [];
    const card = el(
      "article",
      { className: "card", "aria-label": method.name },
      el("h3", {}, method.name),
      el("p", { className: "caption" }, method.summary),
      el("div", { className: "result" }),
      ...settings,
    );
    drawn.set(method.name, card);
  }
  $("grid").replaceChildren(original(), ...drawn.values());
}

function original() {
  const face = current().found.faces[Number($("compare-face").value) || 0];
  return el(
    "article",
    { className: "card", "aria-label": "original", id: "grid-original" },
    el("h3", {}, "original"),
    el("p", { className: "caption" }, "the photo as it was"),
    el("img", { src: face.before, alt: "the face in the original" }),
  );
}

function draw() {
  const photo = current();
  if (!photo || !$("grid-original")) return;
  $("grid-original").replaceWith(original());
  const n = Number($("compare-face").value) || 0;
  for (const [name, card] of drawn) {
    const found = results.get(name);
    const place = card.querySelector(".result");
    place.setAttribute("aria-busy", String(!found));
    if (!found) place.replaceChildren(el("p", { className: "waiting" }, "waits"));
    else if (found.problem) place.replaceChildren(el("p", { className: "refused" }, found.problem));
    else {
      const face = found.result.faces[n];
      const change = $("compare-change").checked;
      const picture = el("img", { src: change ? face.change : face.after, alt: `the face by ${name}${change ? ", change" : ""}` });
      place.replaceChildren(picture, el("p", { className: "caption" }, aims(face)), figures(face));
    }
  }
}
