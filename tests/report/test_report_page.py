"""The page and what goes with it: whole, small, its own, and of the numbers that were measured."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from facepriv.errors import PluginError, UsageError
from facepriv.evaluation.results import read_output
from facepriv.evaluation.setup import paper_outputs
from facepriv.report import page as pages
from facepriv.report import tables
from facepriv.report.page import check_installed, check_place, csv_text, page, write_report
from facepriv.report.plots import all_plots, interval

#: What fetches something when a page is opened.
FETCHES = {"src", "srcset", "data", "poster", "background", "action", "formaction"}


class Reader(HTMLParser):
    """Collects what a page would fetch, its ids, links and words."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.ids, self.links, self.words, self.styles = [], [], [], [], []
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Collect."""
        self.open = tag
        for name, value in attributes:
            if name in FETCHES or (name in ("href", "xlink:href") and tag not in ("a", "use")):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href") and tag in ("a", "use"):
                self.links.append(value)
            if name == "style":
                self.styles.append(value)

    def handle_data(self, data):
        """Collect."""
        (self.styles if self.open == "style" else self.words).append(data)


@pytest.fixture(scope="module")
def text(comparison):
    return page(comparison)


def test_the_page_fetches_nothing_and_links_nowhere_else(text):
    read = Reader(text)
    assert read.fetched and all(value.startswith("data:image/jpeg;base64,") for value in read.fetched)
    assert all(link.startswith("#") and link[1:] in read.ids for link in read.links)
    assert len(read.ids) == len(set(read.ids))
    assert not any("@import" in s or re.search(r"url\((?!#)", s) for s in read.styles)
    assert "default-src 'none'" in text and "http://" not in text.replace("http-equiv", "") and "https://" not in text


def test_the_tables_stand_without_a_script(text):
    static = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert '<th scope="col">output</th>' in static and static.count("<td") > 200 and "<button" not in static


def test_what_others_wrote_is_text_and_never_markup(text):
    assert "A &lt;test&gt; &amp; no method" in text and "<test>" not in text


def test_every_figure_of_the_paper_is_there_with_its_numbers(comparison, text):
    drawn = {figure.name: figure for figure in all_plots(comparison)}
    assert set(drawn) == {
        "estimates-gender",
        "estimates-race",
        "estimates-age",
        "trade-gender",
        "trade-race",
        "roc-angle-x1p-x2p",
        "roc-angle-x1-x2p",
        "cmc-angle-x1p-x2p",
        "cmc-angle-x1-x2p",
        "adversaries-gender",
    }
    for figure in drawn.values():
        assert figure.table and figure.svg.startswith("<svg") and all(len(r) == len(figure.head) for r in figure.table)
        assert f'id="{figure.name}"' in text
        for row in figure.table:
            assert all(cell in text for cell in row), figure.name
    shown = {(line, evaluator): said for line, evaluator, said in drawn["estimates-gender"].table}
    (row,) = [r for r in comparison.outputs[0].pick("gender_eer") if r.evaluator == "ours-gender"]
    assert shown["originals", "ours-gender"] == interval(row.before)
    assert shown["alpha", "ours-gender"] == interval(row.after)
    # Of several outputs that hide it the one that hides it alone speaks; one that keeps it stands apart.
    assert ("beta: gender", "ours-gender") in shown and ("beta (kept)", "ours-gender") in shown
    assert ("beta: gender+race", "ours-gender") not in shown


def test_a_band_spans_the_outputs_of_a_method(comparison):
    (figure,) = [f for f in all_plots(comparison) if f.name == "cmc-angle-x1p-x2p"]
    lines = {row[0]: row[1] for row in figure.table}
    curves = [100 * o.curves.cmc["angle"]["(X1', X2')"][0] for o in comparison.of("beta")]
    assert lines["beta"] == f"{min(curves):.1f} to {max(curves):.1f}" and " to " not in lines["alpha"]


def test_the_overview_shows_what_is_hidden_from_whom_and_the_best_adversary(comparison):
    table = tables.overview(comparison)
    assert table.head[0] == "output" and "best adversary, gender, %" in table.head
    lines = {row[0].text: dict(zip(table.head, row, strict=True)) for row in table.rows}
    assert list(lines) == ["originals", "alpha", "beta: gender", "beta: race", "beta: gender+race"]
    gender = "gender EER, %"
    assert lines["alpha"][gender].strong and lines["beta: race"]["race EER, %"].strong
    assert not lines["beta: race"][gender].strong
    # Beta was made with theirs-gender: ours alone speaks of it.
    (ours,) = [r for r in comparison.outputs[1].pick("gender_eer") if r.evaluator == "ours-gender"]
    assert lines["beta: gender"][gender].value == pytest.approx(ours.after.value)
    best = comparison.outputs[0].best_adversary("gender")
    assert lines["alpha"]["best adversary, gender, %"].value == best.after.value
    assert float(lines["alpha"]["face found, %"].text) < 100 == float(lines["originals"]["face found, %"].text)


def test_lines_that_are_means_of_other_evaluators_say_so(comparison, make_comparison):
    table = tables.overview(comparison)
    said = {row[0].text: row[-1].text for row in table.rows}
    assert table.head[-1] == "mean of"
    assert said["alpha"] == "angle, ours-age, ours-gender, ours-race, theirs-gender"
    assert said["beta: gender"] == said["alpha"].replace(", theirs-gender", "")
    alike = make_comparison([("alpha", "gender", 0.9, 0.1, 2), ("gamma", "gender", 0.5, 0.3, 0)])
    assert "mean of" not in tables.overview(alike).head


def test_an_evaluator_that_was_seen_is_shown_and_in_no_mean(comparison, text):
    rows = [r for r in comparison.outputs[1].rows if r.evaluator == "theirs-gender" and r.figure == "gender_eer"]
    assert rows and not any(r.counts for r in rows) and all(r.note.startswith("seen") for r in rows)
    assert "seen: the weights were trained against it" in text
    judge = next(row for row in tables.judges(comparison).rows if row[0].text == "theirs-gender")
    assert judge[3].text == "beta"


def test_csv_json_and_latex_hold_what_the_page_shows(comparison, tmp_path):
    out = write_report(comparison, tmp_path / "deep" / "report").parent
    rows = list(csv.DictReader(io.StringIO((out / "rows.csv").read_text())))
    assert len(rows) == sum(1 for _ in comparison.rows()) and rows[0]["method"] == "alpha"
    first = comparison.outputs[0].rows[1]
    assert float(rows[1]["after"]) == first.after.value and rows[1]["figure"] == first.figure
    said = json.loads((out / "result.json").read_text())
    assert repr(read_output(said["outputs"][0]).rows) == repr(comparison.outputs[0].rows)
    assert "Eileen" not in (out / "result.json").read_text()
    latex = (out / "tables.tex").read_text()
    assert latex.count("\\begin{tabular}") == 3 and "gender EER, \\%" in latex and "\\textbf{" in latex
    assert not re.search(r"(?<!\\)[%_#]", latex.partition("\n")[2])


def test_an_output_outlives_json(comparison):
    output = comparison.outputs[2]
    again = read_output(json.loads(json.dumps(output.plain())))
    # In text, as NaN equals nothing.
    assert repr((again.rows, again.adversaries)) == repr((output.rows, output.adversaries))
    assert again.hidden == ("race",)
    for matcher, pairings in output.curves.roc.items():
        for pairing, tmr in pairings.items():
            assert np.array_equal(again.curves.roc[matcher][pairing], tmr, equal_nan=True)


def test_the_same_comparison_gives_the_same_bytes(comparison, text, tmp_path):
    assert write_report(comparison, tmp_path / "again").read_text() == text
    assert csv_text(comparison) == csv_text(comparison) == (tmp_path / "again" / "rows.csv").read_text()


def test_six_methods_with_all_outputs_of_the_paper_stay_small(make_comparison, comparison):
    wanted = [(method, "gender", 0.5, 0.1, 0) for method in ("one", "two", "three", "four", "five", "six")]
    few = make_comparison(wanted)
    # What a report of six times fifteen outputs shows, without measuring each again.
    many = tuple(
        replace(o, name=name, hidden=request.hidden) for o in few.outputs for name, request in paper_outputs().items()
    )
    assert len(page(few).encode()) < 1_500_000 and len(many) == 90
    assert len(page(replace(few, outputs=many)).encode()) < 5_000_000


def test_without_attacks_examples_or_matchers_the_rest_stands(make_comparison):
    bare = make_comparison([("alpha", "race", 0.0, 0.1, 0)], attacks=False, examples=False)
    nobody = [
        replace(o, curves=replace(o.curves, roc={}, cmc={}), rows=tuple(r for r in o.rows if r.evaluator != "angle"))
        for o in bare.outputs
    ]
    text = page(replace(bare, outputs=tuple(nobody)))
    assert 'id="estimates-race"' in text
    assert not any(part in text for part in ('id="attacks"', 'id="examples"', "roc-"))


def test_a_place_that_is_no_place_for_a_report_is_refused(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        check_place(file)
    with pytest.raises(UsageError, match="holds other files than a report"):
        check_place(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "result.json").write_text("{}")
    check_place(tmp_path / "report")  # an earlier report may be replaced
    check_place(tmp_path / "new" / "report")


def test_what_a_report_needs_is_said_before_an_hour_of_measuring(monkeypatch):
    check_installed()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'facepriv\[report\]'"):
        pages.check_installed()
