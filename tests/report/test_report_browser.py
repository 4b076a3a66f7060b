"""The pages in a real browser, headless: they open, sort, fit a phone, and ask nothing of the network."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from facepriv.evaluation.inspection import inspect_folders
from facepriv.report.page import page
from facepriv.report.sheet import sheet_page

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--virtual-time-budget=5000",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed (apt-get install chromium)")

#: Presses the head of a column and tells what stands in it; the result is read from the page's title.
PROBE = """
<script>
const table = document.getElementById("table-overview");
const heads = [...table.tHead.rows[0].cells].map((c) => c.textContent.trim());
const column = heads.indexOf("gender EER, %");
const read = () => [...table.tBodies[0].rows].map((r) => r.cells[column].dataset.v);
const names = () => [...table.tBodies[0].rows].map((r) => r.cells[0].textContent.trim());
const said = { buttons: document.querySelectorAll("th button").length, before: names() };
const press = (n) => table.tHead.rows[0].cells[n].querySelector("button").click();
press(column); said.rises = read(); said.sort = table.tHead.rows[0].cells[column].getAttribute("aria-sort");
press(column); said.falls = read();
press(0); said.names = names();
said.fetched = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
said.broken = [...document.images].filter((i) => i.complete && !i.naturalWidth).length;
said.svgs = [...document.querySelectorAll("figure.plot svg")].map((s) => s.getBoundingClientRect().height);
said.text = getComputedStyle(document.querySelector("figure.plot svg text")).fontFamily;
said.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
said.ink = getComputedStyle(document.body).color;
// A name within a cell, and a number, takes one line; a sticky first column stays where the table scrolls.
const broken = (e) => e.getClientRects().length > 1;
said.torn = [...document.querySelectorAll("td .word")].filter(broken).map((e) => e.textContent);
const cell = document.querySelector("#table-evaluators tbody td");
const scroll = cell.closest(".scroll");
const left = cell.getBoundingClientRect().left;
scroll.scrollLeft = 120;
said.moved = [scroll.scrollLeft, cell.getBoundingClientRect().left - left];
document.querySelector("details").open = true;
said.opened = document.querySelector("details table").getBoundingClientRect().height;
parent.postMessage(JSON.stringify(said), "*");
document.title = "SAID" + JSON.stringify(said);
</script>
"""
#: A phone: the page in a frame 360 pixels wide.
PHONE = """<!doctype html><title>phone</title><iframe id="f" width="360" height="700" style="border:0"></iframe>
<script>
addEventListener("message", (e) => { document.body.append(document.createTextNode("PHONE" + e.data + "END")); });
document.getElementById("f").src = "page.html";
</script>"""


@pytest.fixture(scope="module")
def folder(comparison, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "plain.html").write_text(page(comparison))
    (folder / "page.html").write_text(page(comparison).replace("</body>", PROBE + "</body>"))
    (folder / "phone.html").write_text(PHONE)
    return folder


def browse(folder, name, *flags):
    command = [BROWSER, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", (folder / name).as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.fixture(scope="module")
def said(folder):
    title = re.search(r"<title>SAID(.*?)</title>", browse(folder, "page.html", "--dump-dom", "--window-size=1280,900"))
    assert title, "the page's scripts did not run to their end"
    return json.loads(title.group(1).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def test_it_opens_whole_and_asks_nothing_of_the_network(said):
    assert said["fetched"] == [] and said["broken"] == 0
    assert len(said["svgs"]) >= 9 and min(said["svgs"]) > 80 and said["opened"] > 20


def test_pressing_a_head_sorts_by_number_then_the_other_way_then_by_name(said):
    numbers = [float(v) for v in said["rises"]]
    assert numbers == sorted(numbers) and said["sort"] == "ascending"
    assert [float(v) for v in said["falls"]] == sorted(numbers, reverse=True)
    names = [name.lstrip("● ") for name in said["names"]]
    assert names == sorted(names) and len(names) == 5
    assert said["before"][0].endswith("originals")


def test_it_fits_a_desk_and_a_phone_and_letters_are_the_pages_own(said, folder):
    assert said["wide"] <= 0 and "DejaVu Sans" in said["text"] and "system-ui" in said["text"]
    dom = browse(folder, "phone.html", "--dump-dom", "--window-size=800,900", "--allow-file-access-from-files")
    phone = json.loads(re.search(r"PHONE(\{.*?\})END", dom).group(1).replace("&amp;", "&").replace("&gt;", ">"))
    assert phone["wide"] <= 0 and min(phone["svgs"]) > 80
    assert phone["torn"] == [] and phone["moved"] == [120, 0]


def test_dark_is_dark_and_print_is_a_document(said, folder):
    dark = browse(folder, "page.html", "--dump-dom", "--blink-settings=preferredColorScheme=0")
    found = json.loads(re.search(r"SAID(\{.*?\})</title>", dark).group(1).replace("&amp;", "&"))
    light_ink, dark_ink = (sum(map(int, re.findall(r"\d+", s["ink"])[:3])) for s in (said, found))
    assert light_ink < 150 < 500 < dark_ink
    browse(folder, "plain.html", f"--print-to-pdf={folder / 'page.pdf'}", "--no-pdf-header-footer")
    assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")


#: A test's own script looks at the page, which allows none: it is let in.
SHEET_PROBE = """
<script>
onload = () => {
  const said = {
    broken: [...document.images].filter((i) => i.complete && !i.naturalWidth).length,
    loaded: [...document.images].filter((i) => i.naturalWidth).length,
    fetched: performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:")),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    rows: new Set([...document.querySelectorAll(".photo img")].map((i) => i.getBoundingClientRect().top)).size,
    ink: getComputedStyle(document.body).color,
  };
  parent.postMessage(JSON.stringify(said), "*");
  document.title = "SAID" + JSON.stringify(said) + "END";
};
</script>
"""


@pytest.fixture(scope="module")
def sheet_folder(tmp_path_factory, small_faces):
    folder = tmp_path_factory.mktemp("sheet")
    for name, shade in (("originals", 1.0), ("protected", 0.8)):
        (folder / name).mkdir()
        Image.fromarray((small_faces[0] * shade).astype(np.uint8)).save(folder / name / f"{'long-name-' * 9}.png")
    page = sheet_page(inspect_folders(folder / "originals", folder / "protected", workers=0), 10, workers=0)
    allowed = page.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    (folder / "page.html").write_text(allowed.replace("</body>", SHEET_PROBE + "</body>"))
    (folder / "phone.html").write_text(PHONE)
    return folder


def seen(folder, name, mark, *flags):
    dom = browse(folder, name, "--dump-dom", "--allow-file-access-from-files", *flags)
    return json.loads(re.search(mark + r"(\{.*?\})END", dom).group(1).replace("&amp;", "&").replace("&gt;", ">"))


def test_the_pictures_of_a_sheet_show_at_a_desk_and_on_a_phone_and_nothing_is_fetched(sheet_folder):
    desk = seen(sheet_folder, "page.html", "SAID", "--window-size=1280,900")
    phone = seen(sheet_folder, "phone.html", "PHONE", "--window-size=800,900")
    for found in (desk, phone):
        assert (found["broken"], found["loaded"], found["fetched"]) == (0, 4, [])
        assert found["wide"] <= 0
    assert (desk["rows"], phone["rows"]) == (1, 2)


def test_a_sheet_is_dark_where_the_reader_wants_that(sheet_folder):
    light = seen(sheet_folder, "page.html", "SAID")
    dark = seen(sheet_folder, "page.html", "SAID", "--blink-settings=preferredColorScheme=0")
    light_ink, dark_ink = (sum(map(int, re.findall(r"\d+", s["ink"])[:3])) for s in (light, dark))
    assert light_ink < 150 < 500 < dark_ink
