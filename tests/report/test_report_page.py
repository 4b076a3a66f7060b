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
from facepriv.evaluation.rows import CHANGED, UNSEEN_MEAN
from facepriv.evaluation.setup import paper_outputs
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PROTECTED
from facepriv.report import page as pages
from facepriv.report import tables
from facepriv.report.figure import interval
from facepriv.report.page import check_installed, check_place, csv_text, page, unbroken, write_report
from facepriv.report.plots import all_plots

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


def test_the_overview_shows_what_a_matchers_embedding_gives_away(comparison):
    table = tables.overview(comparison)
    lines = {row[0].text: dict(zip(table.head, row, strict=True)) for row in table.rows}
    for words, figure in (("neighbours", "gender_neighbours"), ("linear probe", "gender_probe")):
        (row,) = comparison.outputs[0].pick(figure, evaluator="angle")
        shown = [lines[name][f"angle, {words}, %"] for name in ("originals", "alpha")]
        assert [cell.value for cell in shown] == [row.before.value, row.after.value] and shown[0].small
        assert any(cells[1].text.startswith(row.words) for cells in tables.evaluators(comparison).rows)
    assert "floor" in table.caption
    refused = [
        replace(
            output,
            rows=tuple(
                replace(row, before=None, after=None, change=None, note="too few faces")
                if row.figure == "gender_probe"
                else row
                for row in output.rows
                if row.figure != "gender_neighbours"
            ),
        )
        for output in comparison.outputs
    ]
    table = tables.overview(replace(comparison, outputs=tuple(refused)))
    assert [cell.small for cell in (row[table.head.index("angle, linear probe, %")] for row in table.rows)] == [
        "too few faces"
    ] * len(table.rows)
    assert "angle, neighbours, %" not in table.head


def test_adversaries_show_the_floor_and_the_best_model_of_each_attack(comparison):
    output = comparison.outputs[0]
    (retrained,) = [row for row in output.adversaries if row.evaluator == "attack: retrained"]
    more = [
        replace(retrained, evaluator="attack: retrained, 100 photos", after=Estimate(97, 96, 98), note=""),
        replace(retrained, evaluator="attack: probe, angle, linear", before=Estimate(1.25, 0, 2), note=""),
        replace(
            retrained, evaluator="attack: change", figure=CHANGED, before=None, after=Estimate(55, 50, 60), note=""
        ),
    ]
    changed = replace(comparison, outputs=(replace(output, adversaries=(*more, *output.adversaries)),))
    table = tables.adversaries(changed)
    assert "tells gender by probe, angle, linear, with an error of 1.2 %." in table.caption
    assert "A matcher's own embedding" not in tables.adversaries(comparison).caption
    assert [row[1].text for row in table.rows if row[2].text == "attack: change"] == ["changed?"]
    (figure,) = [f for f in all_plots(changed) if f.name == "adversaries-gender"]
    shown = {kind: said for _, kind, said in figure.table}
    assert shown["retrained"] == interval(retrained.after) and "retrained, 100 photos" not in shown


def test_lines_that_are_means_of_other_evaluators_say_so(comparison, make_comparison):
    table = tables.overview(comparison)
    said = {row[0].text: row[-1].text for row in table.rows}
    assert table.head[-1] == "mean of"
    assert said["alpha"] == "angle, ours-age, ours-gender, ours-race, theirs-gender"
    assert said["beta: gender"] == said["alpha"].replace(", theirs-gender", "")
    alike = make_comparison([("alpha", "gender", 0.9, 0.1, 2), ("gamma", "gender", 0.5, 0.3, 0)])
    assert "mean of" not in tables.overview(alike).head


def test_a_refused_figure_says_why_in_the_first_table(comparison):
    first, *others = comparison.outputs
    refused = replace(
        first,
        rows=tuple(
            replace(row, before=None, after=None, change=None, note="too few pairs; try --fmr 0.1")
            if row.figure.startswith(("tmr", "fmr"))
            else replace(row, counts=False, note=f"too weak: {row.evaluator}")
            if row.figure == "gender_eer"
            else row
            for row in first.rows
            if (row.figure, row.evaluator) != ("gender_eer", UNSEEN_MEAN)
        ),
    )
    for outputs in ((refused, *others), (refused,)):
        table = tables.overview(replace(comparison, outputs=outputs))
        lines = {row[0].text: dict(zip(table.head, row, strict=True)) for row in table.rows}
        assert all(cell.text for line in lines.values() for cell in line.values())
        for name in ("originals", "alpha"):
            assert lines[name]["TMR, %"].small == "too few pairs; try --fmr 0.1"
            said = lines[name]["gender EER, %"].small
            assert "ours-gender: too weak: ours-gender" in said and "theirs-gender: too weak" in said
        assert lines["alpha"]["race EER, %"].value > 0
    assert "FMR there, %" not in table.head  # no output has one, and the column of the TMR says why


@pytest.mark.parametrize("high, doubted", [(7.9, False), (8.1, True)])
def test_a_judge_whose_interval_passes_the_limit_counts_with_a_doubt(comparison, high, doubted):
    first, *_ = comparison.outputs
    rows = tuple(
        replace(row, before=Estimate(6.0, 5.0, high), unit="%", counts=True)
        if (row.figure, row.evaluator, row.group) == ("gender_eer", "ours-gender", "")
        else row
        for row in first.rows
    )
    table = tables.judges(replace(comparison, outputs=(replace(first, rows=rows),)))
    said = {row[0].text: row[table.head.index("counts")].text for row in table.rows}["ours-gender"]
    assert said == ("yes, but may be too weak: the interval passes 8 %" if doubted else "yes")


def test_the_first_table_has_the_gain_less_the_loss(comparison):
    table = tables.overview(comparison)
    column = table.head.index("gender PIC")
    (pic,) = comparison.outputs[0].pick("gender_pic", pairing=PROTECTED)
    assert table.rows[1][column].small == pic.note != ""  # the made-up matcher makes no error on the originals
    rows = (replace(pic, after=Estimate(0.25, 0.125, 0.5), note=""), *comparison.outputs[0].rows)
    table = tables.overview(replace(comparison, outputs=(replace(comparison.outputs[0], rows=rows),)))
    assert (table.rows[1][column].text, table.rows[1][column].small) == ("0.250", "0.125 to 0.500")
    assert table.rows[0][column].text == tables.NONE
    assert any(row[1].text.startswith("gender privacy gain") for row in tables.evaluators(comparison).rows)


def test_a_curve_has_the_band_of_its_interval(comparison):
    for output in comparison.outputs:
        for kind in ("roc", "cmc"):
            for pairing, curve in getattr(output.curves, kind)["angle"].items():
                low, high = getattr(output.curves, f"{kind}_bands")["angle"][pairing]
                known = np.isfinite(low)
                # A percentile of few resamples may miss the curve by a little.
                assert (
                    known.any()
                    and (low[known] <= curve[known] + 0.05).all()
                    and (curve[known] <= high[known] + 0.05).all()
                )
                assert not np.isfinite(low[np.isnan(curve)]).any()
    (row,) = [r for r in comparison.outputs[0].rows if r.figure == "rank1" and r.pairing == PROTECTED]
    assert 100 * comparison.outputs[0].curves.cmc_bands["angle"][PROTECTED][:, 0] == pytest.approx(
        [row.after.low, row.after.high]
    )
    drawn = {figure.name: figure for figure in all_plots(comparison)}
    for name in ("roc-angle-x1p-x2p", "cmc-angle-x1p-x2p"):
        assert drawn[name].svg.count("FillBetweenPolyCollection_") >= 3 and "Bands are 95 %" in drawn[name].caption
    bare = replace(comparison.original, roc_bands={}, cmc_bands={})
    outputs = [replace(o, curves=replace(o.curves, roc_bands={}, cmc_bands={})) for o in comparison.outputs]
    older = {f.name: f for f in all_plots(replace(comparison, original=bare, outputs=tuple(outputs)))}
    assert "FillBetween" not in older["roc-angle-x1p-x2p"].svg and "Bands" not in older["roc-angle-x1p-x2p"].caption


def test_curves_of_one_matcher_have_equal_axes_and_their_intervals_in_percent(comparison):
    drawn = {figure.name: figure for figure in all_plots(comparison)}
    for kind, label in (("roc", "FMR, %"), ("cmc", "rank")):
        first, second = (drawn[f"{kind}-angle-{pairing}"] for pairing in ("x1p-x2p", "x1-x2p"))
        ticks = [re.findall(r'id="[^"]*-(ytick_\d+)".*?>([\d.]+)</text>', f.svg, flags=re.S) for f in (first, second)]
        assert ticks[0] and ticks[0] == ticks[1]
        assert first.starts_row and not second.starts_row
        assert all(label in f.svg and "95 % intervals" in f.caption for f in (first, second))
        assert "both protected" in first.caption and "X1 is the original" in second.caption
        assert all("of the PrivacyNet paper" in f.caption for f in (first, second))
    assert ">100<" in drawn["roc-angle-x1p-x2p"].svg and "10^" not in drawn["roc-angle-x1p-x2p"].svg


def test_a_curve_ends_where_the_table_refuses_the_rate(comparison):
    output = comparison.outputs[0]
    for pairing, tmr in output.curves.roc["angle"].items():
        refused = [row for row in output.rows if row.figure == "tmr@0.01%" and row.pairing == pairing]
        assert all(row.note for row in refused)
        assert np.isnan(tmr[output.curves.fmr < 0.00011]).all() and not np.isnan(tmr[output.curves.fmr > 0.0099]).any()


def test_an_evaluator_that_does_not_count_is_grey(comparison):
    drawn = {figure.name: figure for figure in all_plots(comparison)}
    said = [evaluator for line, evaluator, _ in drawn["estimates-gender"].table if line.startswith("beta")]
    assert "theirs-gender (does not count)" in said and "ours-gender (does not count)" not in said
    assert "Grey" in drawn["estimates-gender"].caption and "Grey" not in drawn["estimates-race"].caption
    assert "opacity: 0.4" in drawn["estimates-gender"].svg and "opacity: 0.4" not in drawn["estimates-race"].svg
    weak = replace(
        comparison,
        outputs=tuple(replace(o, rows=tuple(replace(r, counts=False) for r in o.rows)) for o in comparison.outputs),
    )
    (figure,) = [f for f in all_plots(weak) if f.name == "roc-angle-x1p-x2p"]
    assert "Pale" in figure.caption and "alpha (does not count)" in [row[0] for row in figure.table]
    assert all(cell.weak for row in tables.judges(weak).rows for cell in row)
    assert not any(cell.weak for row in tables.judges(comparison).rows for cell in row)


def test_no_line_breaks_within_a_word():
    assert str(unbroken("face-mixing: <b>")) == '<span class="word">face-mixing:</span> &lt;b&gt;'


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
    for kind in ("roc", "cmc", "roc_bands", "cmc_bands"):
        for pairing, values in getattr(output.curves, kind)["angle"].items():
            assert np.array_equal(getattr(again.curves, kind)["angle"][pairing], values, equal_nan=True)


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
