// What judges say of a face, as a table.

import { el } from "./dom.js";

const two = (value) => (value === null ? "none" : value.toFixed(2));

/** Return the tables of one face: estimates before and after, and match scores. */
export function figures(face) {
  const rows = [];
  for (const e of face.estimates) {
    const changed = e.before.answer !== e.after.answer;
    const name = el("th", { scope: "row" }, e.attribute, el("small", {}, e.judge + (e.seen ? " (seen in training)" : "")));
    rows.push(el("tr", {}, name, el("td", {}, e.before.text), el("td", { className: changed ? "changed" : "" }, e.after.text)));
  }
  for (const m of face.matches) {
    const limit = m.threshold === null ? "" : `, threshold ${m.threshold}`;
    const name = (text) => el("th", { scope: "row" }, text, el("small", {}, m.judge + limit + (m.seen ? " (seen in training)" : "")));
    rows.push(el("tr", {}, name("match with the original"), el("td", {}, "1.00"), score(m.own, m.threshold)));
    rows.push(el("tr", {}, name("match with its mirror image"), el("td", {}, two(m.mirror_before)), score(m.mirror, m.threshold)));
  }
  const head = ["", "before", "after"].map((text) => el("th", { scope: "col" }, text));
  return el("div", { className: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}

function score(value, threshold) {
  const lost = value === null || (threshold !== null && value < threshold);
  return el("td", {}, two(value), ...(lost ? [el("small", { className: "bad" }, "no match")] : []));
}

/** Return in words which class the pipeline estimated and which it aimed at. */
export function aims(face) {
  const parts = Object.entries(face.classes)
    .filter(([, c]) => c.own !== c.target)
    .map(([name, c]) => `${name} estimated as ${c.own || "unknown"}, changed to ${c.target || "no class"}`);
  if (face.unchanged) parts.push("the face came out UNCHANGED, nothing is hidden");
  return parts.join("; ");
}
