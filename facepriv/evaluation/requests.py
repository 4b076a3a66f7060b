"""Requests for evaluation: one request per output, including the paper's 15."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facepriv.errors import UsageError
from facepriv.protection.request import PrivacyRequest
from facepriv.schema import AGE, ATTRIBUTES, RACE_PAIRS, nearest, selections

#: Additional outputs: a random gender, and each face's own labels as targets.
RANDOM, OWN = "random", "own"


def paper_outputs(**options: Any) -> dict[str, PrivacyRequest]:
    """Return name -> request for the paper's 15 outputs.

    Gender is flipped or kept, race is changed to its pair or kept, age is kept or moved to each of its three groups.

    Parameters
    ----------
    **options
        Options of every request: ``strength``, ``seed``, ``policy``.
    """
    found = {}
    for chosen in selections():
        for age in AGE.classes if AGE.name in chosen else [""]:
            name = "+".join(f"age={age}" if name == AGE.name else name for name in chosen)
            targets = {AGE.name: age} if age else {}
            found[name] = _request(tuple(a for a in chosen if a != AGE.name), targets, **options)
    return found


def all_outputs(**options: Any) -> dict[str, PrivacyRequest]:
    """Return the paper's 15 outputs, then `RANDOM` and `OWN`."""
    found = paper_outputs(**options)
    found[RANDOM] = _request(("gender",), {}, **{**options, "policy": "random"})
    found[OWN] = _request((), {}, **options)
    return found


def named_output(name: str, **options: Any) -> PrivacyRequest:
    """Return the request for an output's name.

    Parameters
    ----------
    name : str
        Attributes to hide, joined by ``+``, each alone (``race``) or with a target class (``age=old``); or `RANDOM`,
        or `OWN`.

    Raises
    ------
    UsageError
        If an attribute or class is unknown, or an attribute comes twice.
    """
    if name in (RANDOM, OWN):
        return all_outputs(**options)[name]
    hidden, targets = [], {}
    for part in name.split("+"):
        own, equals, wanted = (text.strip() for text in part.partition("="))
        if own not in ATTRIBUTES:
            words = [*ATTRIBUTES, RANDOM, OWN]
            raise UsageError(
                f"output '{name}': no attribute '{own}'{nearest(own, words)}: known are {', '.join(words)}"
            )
        if own in targets or own in hidden:
            raise UsageError(f"output '{name}' names {own} twice")
        if equals:
            targets[own] = wanted
        else:
            hidden.append(own)
    return _request(tuple(hidden), targets, **options)


def possible(requests: dict[str, PrivacyRequest], can: Sequence[str]) -> dict[str, PrivacyRequest]:
    """Return the requests that a method can fulfil if it changes the attributes `can`."""
    return {name: request for name, request in requests.items() if set(request.hidden) <= set(can)}


def _request(obfuscate: tuple[str, ...], targets: dict[str, str], **options: Any) -> PrivacyRequest:
    return PrivacyRequest(obfuscate, targets, pairs={"race": dict(RACE_PAIRS)}, **options)
