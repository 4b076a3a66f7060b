// Reports below the root, each in a frame that can reach nothing.

import { $, el, read } from "./dom.js";

export async function shown(now) {
  if (!now) return;
  let found;
  try {
    found = (await read("api/reports")).reports;
  } catch (error) {
    $("report-list").replaceChildren(el("li", { className: "trouble" }, error.message));
    return;
  }
  $("report-list").replaceChildren(
    ...found.map((report) => {
      const address = `reports/${report.id}/report.html`;
      const when = new Date(1000 * report.time).toLocaleString();
      const name = report.name === "." ? "the root" : report.name;
      const open = el("button", { type: "button", onclick: () => show(address, name) }, name);
      const alone = el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "in a tab of its own");
      return el("li", {}, open, el("small", {}, ` ${when}, `, alone));
    }),
  );
  if (!found.length) $("report-list").append(el("li", { className: "caption" }, "There is no report below the root."));
}

function show(address, name) {
  $("report").hidden = false;
  $("report").title = `The report ${name}`;
  $("report").src = address;
  $("report").scrollIntoView();
}
