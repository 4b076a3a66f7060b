// Starts the page: its parts, and what a change of a control leads to.

import * as compare from "./compare.js";
import * as controls from "./controls.js";
import { $, read, tell } from "./dom.js";
import * as folder from "./folder.js";
import * as photo from "./photo.js";
import * as reports from "./reports.js";

function photoShown(now) {
  if (!now) return;
  controls.refresh();
  photo.update();
}

const parts = { photo: photoShown, compare: compare.shown, folder: folder.shown, reports: reports.shown };
const tabs = [...$("tabs").children];

function choose(tab) {
  const name = tab.id.slice("tab-".length);
  for (const each of tabs) {
    const own = each === tab;
    each.setAttribute("aria-selected", String(own));
    each.tabIndex = own ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !own;
  }
  $("controls").hidden = name === "reports";
  $("source").hidden = !["photo", "compare"].includes(name);
  $("method-field").hidden = $("settings").dataset.hidden = name === "compare";
  document.body.dataset.part = name;
  for (const [each, shown] of Object.entries(parts)) shown(each === name);
}

tabs.forEach((tab, n) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(n + step + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });
});

try {
  const about = await read("api/about");
  controls.setUp(about, (what) => {
    if (what === "faces") photo.searchFaces();
    else photo.update();
    compare.outdated();
  });
  photo.setUp(compare.outdated);
  compare.setUp();
  folder.setUp();
  $("place").textContent = `Root: ${about.root}. Version ${about.version}.`;
  tell($("trouble"), about.problems.join("; "));
  document.body.dataset.ready = "true";
  choose(tabs[0]);
} catch (error) {
  $("place").textContent = "";
  tell($("trouble"), error.message);
}
