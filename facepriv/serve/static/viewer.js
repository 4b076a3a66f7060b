// The picture with its slider: the whole photo or one face; before and after, or the amplified change.

import { $, el } from "./dom.js";

let pictures = null; // { whole: {before, after, change}, faces: [...] , boxes, size }
let part = -1; // -1: the whole photo

export function setUp() {
  $("slide").addEventListener("input", place);
  $("change").addEventListener("input", draw);
  let pressed = false;
  const follow = (event) => {
    const area = $("stage").getBoundingClientRect();
    $("slide").value = Math.round((100 * (event.clientX - area.left)) / area.width);
    place();
  };
  $("stage").addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    pressed = true;
    $("stage").setPointerCapture(event.pointerId);
    follow(event);
  });
  $("stage").addEventListener("pointermove", (event) => pressed && follow(event));
  for (const name of ["pointerup", "pointercancel"]) $("stage").addEventListener(name, () => (pressed = false));
}

function place() {
  $("stage").style.setProperty("--at", `${$("slide").value}%`);
  $("slide").setAttribute("aria-valuetext", `${$("slide").value} %`);
}

/** Show a new photo. */
export function begin(name, size, found) {
  part = -1;
  pictures = { name, size, boxes: found.boxes, whole: { before: found.whole }, faces: found.faces.map((f) => ({ before: f.before })) };
  const buttons = ["Whole photo", ...found.faces.map((_, n) => `Face ${n + 1}`)].map((text, n) =>
    el("button", { type: "button", onclick: () => choose(n - 1), "aria-pressed": String(n === 0) }, text),
  );
  $("views").replaceChildren(...buttons);
  $("boxes").replaceChildren(
    ...found.boxes.map((box, n) => {
      const made = el("button", { type: "button", title: `Face ${n + 1}`, onclick: () => choose(n) });
      made.setAttribute("aria-label", `Face ${n + 1}: zoom in`);
      const [left, top, right, bottom] = box;
      const percent = (value, whole) => `${(100 * value) / whole}%`;
      made.style.left = percent(Math.max(0, left), size.width);
      made.style.top = percent(Math.max(0, top), size.height);
      made.style.width = percent(Math.min(right, size.width) - Math.max(0, left), size.width);
      made.style.height = percent(Math.min(bottom, size.height) - Math.max(0, top), size.height);
      if (n >= found.faces.length) made.disabled = true;
      return made;
    }),
  );
  $("viewer").hidden = false;
  place();
  draw();
}

/** Zoom on a face, or back to the whole photo with -1. */
export function choose(n) {
  part = n;
  [...$("views").children].forEach((button, m) => button.setAttribute("aria-pressed", String(m === n + 1)));
  draw();
  $("stage").scrollIntoView({ block: "nearest" });
}

/** Show a result. */
export function update(result) {
  Object.assign(pictures.whole, { after: result.whole, change: result.change });
  result.faces.forEach((face, n) => Object.assign(pictures.faces[n], { after: face.after, change: face.change }));
  draw();
}

function draw() {
  if (!pictures) return;
  const shown = part < 0 ? pictures.whole : pictures.faces[part];
  const what = part < 0 ? pictures.name : `face ${part + 1} of ${pictures.name}`;
  const change = $("change").checked && shown.change;
  $("picture-before").src = change ? shown.change : shown.before;
  $("picture-before").alt = change ? `the amplified change of ${what}` : `${what}, original`;
  $("picture-after").hidden = Boolean(change) || !shown.after;
  if (!$("picture-after").hidden) {
    $("picture-after").src = shown.after;
    $("picture-after").alt = `${what}, protected`;
  }
  $("stage").classList.toggle("single", $("picture-after").hidden);
  $("slide").disabled = $("picture-after").hidden;
  $("stage").classList.toggle("zoomed", part >= 0);
  $("boxes").hidden = part >= 0;
}
