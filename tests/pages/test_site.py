"""The documentation's site: no warning, nothing loaded from another host, a search that works offline."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from page_lines import ROOT, tracked


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr  # a warning is an error: `strict` in mkdocs.yml
    return out


class Loaded(HTMLParser):
    """What a browser loads when it opens a page: addresses by tag, links to click on excepted."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag != "a" and named.get("rel") not in ("canonical", "next", "prev"):
            self.addresses += [named[name] for name in ("src", "href", "srcset", "data") if named.get(name)]


def test_no_page_loads_anything_from_another_host(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    loaded = [address for page in pages for address in Loaded(page.read_text(encoding="utf-8")).addresses]
    assert loaded and not [address for address in loaded if re.match(r"(\w+:)?//", address)]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", styles)


def test_every_plugin_has_its_page_in_the_navigation(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in (*tracked("plugins/*/README.md"), *tracked("examples/*/README.md")):
        assert f'href="methods/{page.split("/")[1]}.html"' in index, page


def test_every_picture_of_the_documentation_is_used(site):
    text = "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    assert [picture.name for picture in (ROOT / "docs/images").iterdir() if f"images/{picture.name}" not in text] == []


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_search_works_in_a_page_that_is_opened_from_a_folder(site):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    address = f"{(site / 'index.html').as_uri()}?q=impostor"
    shown = subprocess.run(["chromium", *options, address], capture_output=True, text=True, timeout=120).stdout
    assert re.search(r"[1-9]\d* matching documents", shown)
