"""Whatever a page tells its reader to type works: commands, Python, settings; so no page can rot."""

import tomllib

import pytest
from page_calls import SCRIPTS, WrongLine, check, known_options, split
from page_lines import KINDS, blocks, commands, examples, mentions, options, tracked
from page_runs import WALKS, Store, lay_out, records, run_page, run_python

PAGES = tracked("*.md")
#: Tells of commands as they were.
PAST = {"CHANGELOG.md"}
PYTHON = [b for page in PAGES for b in blocks(page) if b.kind == "python" and (page, b.heading) not in WALKS]

each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def wrong(lines, *, whole=True):
    """Return what is wrong with each line that is."""
    found = []
    for line in lines:
        try:
            check(split(line.text), whole=whole)
        except WrongLine as error:
            found.append(f"{line.place}: {line.text}\n    {error}")
    return found


@each_page
def test_every_block_says_what_it_holds(page):
    assert not [f"{b.place}: ```{b.kind}" for b in blocks(page) if b.kind not in KINDS]


@each_page
def test_every_command_line_has_all_that_it_requires_and_nothing_unknown(page):
    lines = [line for line in commands(page) if (page, line.heading) not in WALKS]
    found = wrong(lines)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in PAST])
def test_every_command_and_option_in_the_running_text_is_known(page):
    found = wrong(mentions(page), whole=False)
    known = known_options()
    for line in options(page):
        names = [word.partition("=")[0] for word in split(line.text) if word.startswith("--")]
        found += [f"{line.place}: {name}" for name in names if name not in known]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("script", [script for pattern in (*SCRIPTS, "examples/*.py") for script in tracked(pattern)])
def test_every_command_in_the_docstring_of_a_script_is_right(script):
    found = wrong(examples(script))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", [page for page in PAGES if not records(page)])
@pytest.mark.usefixtures("one_process")
def test_every_command_line_runs(page, store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(store.folder / "cache"))
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    run_page(page, tmp_path, store)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_on_a_page_runs(block, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay_out(block.page, block.text, tmp_path, store)
    run_python(block)


@pytest.mark.parametrize("page", PAGES)
def test_settings_on_a_page_are_toml(page):
    for block in blocks(page):
        assert block.kind != "toml" or tomllib.loads(block.text)
