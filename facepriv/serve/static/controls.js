// The form that says what is hidden, and how. Its state is shared by all parts of the page.

import { $, el } from "./dom.js";

const RELATIVE = { same: "own class (same)", opposite: "another class (opposite)", neutral: "no class (neutral)" };
const POLICIES = {
  flip: "another class (flip): fools classifiers most, but whoever knows it can invert their answers",
  random: "drawn at random, the own class included: inverting an answer gains nothing",
};

let about;
let changed = () => {};
const settings = new Map(); // method -> setting -> text

/** Fill the form; `listener` is called with what changed: "ask" or "faces". */
export function setUp(found, listener) {
  about = found;
  changed = listener;
  $("method").append(...about.methods.map((m) => el("option", { value: m.name }, m.name)));
  const first = about.methods.find((m) => m.name === "privacynet") || about.methods[0];
  if (first) $("method").value = first.name;
  $("detector").append(...about.detectors.map((name) => el("option", { value: name }, name)));
  $("detector").value = about.detectors.includes("auto") ? "auto" : about.detectors[0];
  for (const policy of about.policies) {
    const box = el("input", { type: "radio", name: "policy", value: policy, checked: policy === "flip" });
    $("policy").append(el("label", { className: "check" }, box, ` ${POLICIES[policy] || policy}`));
  }
  for (const name of Object.keys(about.attributes)) {
    const select = el("select", { id: `hide-${name}` });
    $("attributes").append(el("div", { className: "field" }, el("label", { htmlFor: select.id }, name), select));
  }
  methodChanged();
  $("hide-gender").value = "hide";
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("input", (event) => {
    if (event.target.id === "method") methodChanged();
    if (event.target.id === "strength") $("strength-value").textContent = `${$("strength").value} %`;
    if (event.target.closest("[data-settings]") || !event.target.checkValidity()) return;
    changed(["detector", "min-face", "thorough"].includes(event.target.id) ? "faces" : "ask");
  });
}

export const methods = () => about.methods;

const method = () => about.methods.find((m) => m.name === $("method").value);

function methodChanged() {
  const chosen = method();
  if (!chosen) return;
  $("method-summary").textContent = chosen.problem || chosen.summary;
  for (const [name, classes] of Object.entries(about.attributes)) {
    const select = $(`hide-${name}`);
    const before = select.value;
    const targets = chosen.targets[name] || [...classes, "same", "opposite"];
    const can = name in chosen.targets;
    select.replaceChildren(
      el("option", { value: "" }, "keep"),
      el("option", { value: "hide" }, can ? "hide" : `hide (${chosen.name} cannot)`),
      ...targets.map((t) => el("option", { value: t }, RELATIVE[t] || `change to ${t}`)),
    );
    select.value = [...select.options].some((o) => o.value === before) ? before : "";
  }
  refresh();
}

/** Draw the settings of the chosen method again: another part of the page may have changed them. */
export function refresh() {
  const fields = method() ? settingFields(method(), () => changed("ask")) : null;
  $("settings").hidden = !fields;
  if (fields) $("settings").lastElementChild.replaceChildren(fields);
}

/** Return the controls of a method's settings; null where it has none. `listener` is called after a valid change. */
export function settingFields(chosen, listener) {
  if (!chosen.settings.length && !chosen.closed.length) return null;
  const fields = chosen.settings.map((s) => settingField(chosen.name, s, listener));
  const closed = chosen.closed.length
    ? [el("p", { className: "hint" }, `Not set here, as they may name files: ${chosen.closed.join(", ")}.`)]
    : [];
  return el("div", { "data-settings": chosen.name }, ...fields, ...closed);
}

let count = 0;

function settingField(name, setting, listener) {
  const own = settings.get(name) || new Map();
  settings.set(name, own);
  const id = `setting-${name}-${setting.name}-${(count += 1)}`;
  const now = own.get(setting.name) ?? (setting.default === null ? "none" : String(setting.default));
  const control = settingControl(setting, id, now);
  control.addEventListener("input", (event) => {
    event.stopPropagation();
    if (!control.checkValidity()) return;
    const value = control.type === "checkbox" ? String(control.checked) : control.value || "none";
    own.set(setting.name, value);
    listener();
  });
  const hint = el("p", { className: "hint", id: `${id}-hint` }, setting.description);
  if (setting.limits) hint.append(` [${setting.limits}]`);
  control.setAttribute("aria-describedby", hint.id);
  if (control.type === "checkbox") return el("div", {}, el("label", { className: "check" }, control, ` ${setting.name}`), hint);
  return el("div", { className: "field" }, el("label", { htmlFor: id }, setting.name), control, hint);
}

function settingControl(setting, id, now) {
  if (setting.kind === "switch") return el("input", { type: "checkbox", id, checked: now === "true" });
  if (setting.kind === "choice") {
    const words = [...setting.choices, ...(setting.free ? ["none"] : [])];
    return selected(el("select", { id }, ...words.map((w) => el("option", { value: w }, w))), now);
  }
  if (setting.choices.length) return withWords(setting, id, now);
  return numberInput(setting, id, now);
}

const selected = (select, value) => Object.assign(select, { value });

function numberInput(setting, id, now) {
  const whole = setting.kind === "integer";
  const input = el("input", { type: "number", id, value: now === "none" ? "" : now, step: whole ? "1" : "any" });
  const { min, max, above, below } = setting.range;
  if (min !== undefined || above !== undefined) input.min = min ?? above;
  if (max !== undefined || below !== undefined) input.max = max ?? below;
  input.required = !setting.free;
  if (setting.free) input.placeholder = "none";
  return input;
}

/** A number or one of some words: a text field that suggests the words. */
function withWords(setting, id, now) {
  const number = setting.kind === "integer" ? "\\d+" : "-?[\\d.]+";
  const list = el("datalist", { id: `${id}-words` }, ...setting.choices.map((w) => el("option", { value: w })));
  const input = el("input", { type: "text", id, value: now, pattern: `${setting.choices.join("|")}|${number}` });
  input.setAttribute("list", list.id);
  input.append(list);
  return input;
}

/** Return what the form asks for, as the server reads it; `name`: another method than the chosen one. */
export function ask(name = $("method").value) {
  const hide = [];
  const targets = {};
  for (const attribute of Object.keys(about.attributes)) {
    const value = $(`hide-${attribute}`).value;
    if (value === "hide") hide.push(attribute);
    else if (value) targets[attribute] = value;
  }
  return {
    method: name,
    settings: Object.fromEntries(settings.get(name) || []),
    hide,
    targets,
    policy: document.querySelector("input[name=policy]:checked").value,
    strength: Number($("strength").value) / 100,
    seed: Number($("seed").value) || 0,
    detector: $("detector").value,
    min_face: Number($("min-face").value) || 16,
    thorough: $("thorough").checked,
    keep_metadata: $("keep-metadata").checked,
  };
}
