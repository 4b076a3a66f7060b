// A folder: choose it, start a run, watch it, stop and resume it, open its contact sheet.

import { ask } from "./controls.js";
import { $, el, read, send, tell } from "./dom.js";

const OVER = ["done", "stopped", "failed", "interrupted"];
const WORDS = {
  starting: "starts",
  planning: "looks for photos",
  waiting: "waits until another run is over",
  protecting: "protects photos",
  "photos looked at": "looks at the results for the contact sheet",
  "photos drawn": "draws the contact sheet",
  stopping: "stops: what is done is whole",
  done: "done",
  stopped: "stopped; what is done is whole",
  failed: "failed",
  interrupted: "interrupted, its process is gone; what is done is whole",
};

let path = "";
let visible = false;
let timer = 0;
const cards = new Map(); // id -> { card, text: the state that it shows }

export function setUp() {
  $("run-form").addEventListener("submit", (event) => {
    event.preventDefault();
    start(ask(), options());
  });
}

export async function shown(now) {
  visible = now;
  clearTimeout(timer);
  if (!visible) return;
  if (!$("folder-list").childElementCount) await enter(path);
  await look();
}

async function enter(name) {
  let found;
  try {
    found = await send("api/folder", { path: name });
  } catch (error) {
    tell($("run-trouble"), error.message);
    return;
  }
  tell($("run-trouble"), "");
  path = found.path;
  const cut = found.cut ? " (at least)" : "";
  $("folder-path").textContent = `${path === "." ? "the root" : path}: ${found.photos}${cut} photos directly in it`;
  const folders = found.folders.map((f) => [f.name, f.path]);
  if (found.above !== null) folders.unshift(["..", found.above]);
  $("folder-list").replaceChildren(
    ...folders.map(([label, target]) => {
      const button = el("button", { type: "button", onclick: () => enter(target) }, label);
      if (label === "..") button.setAttribute("aria-label", "the folder above");
      return el("li", {}, button);
    }),
  );
  if (!folders.length) $("folder-list").append(el("li", { className: "caption" }, "no folders in it"));
  $("run-out").value = path === "." ? "protected" : `${path}-protected`;
}

function options() {
  const workers = $("run-workers").value;
  return {
    source: path,
    out: $("run-out").value.trim(),
    existing: $("run-existing").value,
    on_no_face: $("run-no-face").value,
    strict: $("run-strict").checked,
    audit: $("run-audit").checked,
    trust_existing: $("run-trust").checked,
    sheet: $("run-sheet").checked,
    workers: workers ? Number(workers) : null,
    timeout: Number($("run-timeout").value),
  };
}

async function start(asked, run) {
  tell($("run-trouble"), "");
  $("run-start").disabled = true;
  try {
    await send("api/runs", { ask: asked, run });
  } catch (error) {
    tell($("run-trouble"), error.message);
  } finally {
    $("run-start").disabled = false;
  }
  await look();
}

/** Show all runs, and look again while one of them goes on. */
async function look() {
  clearTimeout(timer);
  let runs = [];
  try {
    runs = (await read("api/runs")).runs;
  } catch (error) {
    tell($("run-trouble"), error.message);
    return;
  }
  const place = $("runs");
  if (!runs.length) place.replaceChildren(el("p", {}, "No run yet."));
  else if (![...place.children].every((child, n) => runs[n] && child.dataset.id === runs[n].id)) place.replaceChildren();
  for (const run of runs) {
    const text = JSON.stringify(run);
    const known = cards.get(run.id);
    if (known && known.text === text && known.card.isConnected) continue;
    const card = drawn(run, known && known.card.querySelector("details[open]"));
    if (known && known.card.isConnected) known.card.replaceWith(card);
    else place.append(card);
    cards.set(run.id, { card, text });
  }
  if (visible) timer = setTimeout(look, runs.some((run) => !OVER.includes(run.state)) ? 1000 : 5000);
}

function drawn(run, open) {
  const over = OVER.includes(run.state);
  const title = `${run.run.source} to ${run.run.out}`;
  const card = el("article", { className: "run", "data-id": run.id, "aria-label": title }, el("h3", {}, title));
  card.append(el("p", { className: "caption" }, `${run.ask.method}: ${hidden(run.ask)}`));
  const status = el("p", {}, sentence(run));
  if (!over && run.total) {
    const bar = el("progress", { max: run.total, value: run.done });
    bar.setAttribute("aria-label", "progress");
    card.append(bar);
  }
  card.append(status);
  if (run.message) card.append(el("p", { className: "trouble" }, run.message));
  for (const text of run.warnings || []) card.append(el("p", { className: "trouble" }, text));
  if (run.failed) card.append(errors(run, open));
  const buttons = el("p", { className: "row" });
  const button = (words, act) => buttons.append(el("button", { type: "button", onclick: act }, words));
  if (!over && run.state !== "stopping") button("Stop", () => act(run, "stop"));
  if (over && run.state !== "done") button("Resume", () => start(run.ask, { ...run.run, existing: "resume" }));
  if (run.sheet) {
    const link = el("a", { href: `sheets/${run.id}`, target: "_blank", rel: "noopener noreferrer" }, "Open the contact sheet");
    buttons.append(link, el("small", {}, " It shows the originals: do not publish it."));
  }
  if (over) button("Remove from the list", () => act(run, "forget"));
  card.append(buttons);
  return card;
}

function errors(run, open) {
  const count = run.failed;
  const lines = run.errors.map((text) => el("li", {}, text));
  if (run.errors.length < count) lines.push(el("li", {}, `and ${count - run.errors.length} more`));
  const made = el("details", {}, el("summary", {}, `${count} error${count === 1 ? "" : "s"}`), el("ul", {}, ...lines));
  made.open = Boolean(open);
  return made;
}

function hidden(asked) {
  const parts = (asked.hide || []).map((name) => `${name} hidden (${asked.policy ?? "flip"})`);
  for (const [name, target] of Object.entries(asked.targets || {})) parts.push(`${name} = ${target}`);
  return `${parts.join(", ")}; strength ${Math.round(100 * (asked.strength ?? 1))} %`;
}

function sentence(run) {
  const parts = [WORDS[run.state] || run.state];
  if (run.total && !OVER.includes(run.state)) {
    parts.push(`${run.done} of ${run.total}`);
    if (run.rate) parts.push(`${run.rate.toFixed(run.rate < 10 ? 1 : 0)} a second`, `${left((run.total - run.done) / run.rate)} left`);
  }
  const counts = run.counts || {};
  const words = { done: "protected", unchanged: "UNCHANGED", no_face: "left out, no face found", copied: "copied UNPROTECTED", small: "small faces", uncertain: "uncertain faces" };
  for (const [name, text] of Object.entries(words)) if (counts[name]) parts.push(`${counts[name]} ${text}`);
  if (run.already) parts.push(`${run.already} done already`);
  if (run.looked) parts.push(run.looked);
  return parts.join("; ");
}

function left(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

async function act(run, what) {
  try {
    await send(`api/runs/${run.id}/${what}`, {});
  } catch (error) {
    tell($("run-trouble"), error.message);
  }
  await look();
}
