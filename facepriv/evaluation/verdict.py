"""The verdict of an evaluation: its main figures in sentences, one for each question of someone who keeps photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facepriv.evaluation.results import MAIN_FIGURES
from facepriv.evaluation.rows import UNSEEN_MEAN, Row
from facepriv.metrics.matching import PROTECTED
from facepriv.schema import AGE, ATTRIBUTES


def verdict(rows: Sequence[Row], photos: int, named: bool, fmr: float) -> tuple[str, ...]:
    """Return sentences about faces, each attribute, recognition and image quality.

    Parameters
    ----------
    rows : sequence of Row
        Of one method; judges that do not count are named with the reason.
    photos : int
        Number of photos.
    named : bool
        Whether the photos name their people.
    fmr : float
        The main false match rate.
    """
    table: dict[str, list[Row]] = {}
    for row in rows:
        if not row.group and row.pairing in ("", PROTECTED):
            table.setdefault(row.figure, []).append(row)
    sentences = [_faces(table, photos), *_files(table)]
    sentences += [_attribute(table, name) for name in ATTRIBUTES if f"{name}_changed" in table]
    sentences += [_recognition(table, row, named, fmr) for row in table.get("own_score", ())]
    return (*sentences, _quality(table))


def _faces(table: Mapping[str, list[Row]], photos: int) -> str:
    found, both = table["found"][0], table["found_both"][0]
    counts = [round(e.value * photos / 100) if e else 0 for e in (found.before, found.after, both.after)]
    return (
        f"Faces: found in {counts[0]} of {photos} originals and {counts[1]} protected photos, in both for {counts[2]}."
    )


def _files(table: Mapping[str, list[Row]]) -> list[str]:
    """Return a sentence on protected files that are missing or wrong; none if there are none."""
    words = {
        "missing": "missing",
        "unreadable": "damaged",
        "resized": "of another size",
        "identical": "with the pixels of the original",
    }
    counts = [(table[name][0].after, text) for name, text in words.items()]
    bad = [f"{count.value:.0f} {text}" for count, text in counts if count and count.value]
    return [f"Protected files: {', '.join(bad)}."] if bad else []


def _attribute(table: Mapping[str, list[Row]], name: str) -> str:
    """Return how far the unseen estimators of an attribute change their answers, and their error with labels."""
    changed = [row for row in table[f"{name}_changed"] if row.counts and row.after]
    title = name.capitalize()
    if not changed:
        why = "; ".join(f"{row.evaluator}: {row.note}" for row in table[f"{name}_changed"])
        return f"{title}: no estimator gives evidence here ({why})."
    shares = _list([f"{row.after.value:.1f} % ({row.evaluator})" for row in changed if row.after]) + " of faces"
    one = len(changed) == 1
    if name == AGE.name:
        moved = [row for row in table.get("age_moved", ()) if row.counts and row.after]
        years = _list([f"{row.after.value:.1f} years ({row.evaluator})" for row in moved if row.after])
        text = f"{title}: the estimate moves by {years} on average; " if moved else f"{title}: "
        text += f"the age group changes on {shares}."
    else:
        change = "classifier changes its answer" if one else "classifiers change their answers"
        text = f"{title}: the unseen {change} on {shares}."
        if max(row.after.value for row in changed if row.after) > 50:
            text += " Where more than half of the answers change, an attacker can invert them."
    return text + _error(table, name)


def _error(table: Mapping[str, list[Row]], name: str) -> str:
    """Return the error against the labels, or nothing without labels."""
    row = next((row for row in table.get(MAIN_FIGURES[name], ()) if row.evaluator == UNSEEN_MEAN), None)
    if row is None or row.before is None or row.after is None:
        return ""
    unit = "years" if row.unit == "years" else "%"
    return f" Against the labels: {row.words} {row.before.value:.1f} {unit} before, {row.after.value:.1f} {unit} after."


def _recognition(table: Mapping[str, list[Row]], score: Row, named: bool, fmr: float) -> str:
    """Return whether one matcher still matches photos with their originals, and confuses others."""
    name = score.evaluator
    if not score.counts or score.after is None:
        return f"Recognition: {name} gives no evidence here ({score.note})."
    own, other, others = (_of(table, figure, name) for figure in ("own_match", "other_match", "other_score"))
    if own.after:
        text = f"Recognition: {own.after.value:.1f} % of faces still match their original at {name}'s threshold."
    else:
        text = (
            f"Recognition: {name} states no threshold; its mean score with the own original is {score.after.value:.2f}."
        )
    pairs = "pairs of different people" if named else "pairs of different photos (perhaps of one person)"
    if other.before and other.after:
        text += (
            f" Of {pairs}, {other.after.value:.2f} % match among protected photos, {other.before.value:.2f} % among "
        )
        text += "originals."
    elif not own.after and others.after:
        text += f" That of {pairs} is {others.after.value:.2f}."
    return text + _rate(table, name, fmr)


def _rate(table: Mapping[str, list[Row]], name: str, fmr: float) -> str:
    """Return the TMR, or why there is none; nothing if the photos name no people."""
    row = next((row for row in table.get("tmr", ()) if row.evaluator == name), None)
    if row is None:
        return ""
    if row.before is None or row.after is None:
        return f" No TMR: {row.note}."
    return f" TMR at FMR {100 * fmr:g} %: {row.before.value:.1f} % before, {row.after.value:.1f} % after."


def _quality(table: Mapping[str, list[Row]]) -> str:
    ssim, psnr = table["ssim"][0].after, table["psnr"][0].after
    if ssim is None:
        return "Image: no protected file has the size of its original, so there is no SSIM and PSNR."
    if psnr is None:
        return "Image: no photo changed."
    return f"Image: SSIM {ssim.value:.2f}, PSNR {psnr.value:.1f} dB over whole photos (quality, no measure of privacy)."


def _of(table: Mapping[str, list[Row]], figure: str, evaluator: str) -> Row:
    return next(row for row in table[figure] if row.evaluator == evaluator)


def _list(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
