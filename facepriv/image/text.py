"""Distinguishes words in a file's metadata from pictures encoded as text."""

from __future__ import annotations

import re
import unicodedata

#: Maximum length of a text in characters; a news agency's caption has some hundreds.
MOST_CHARACTERS = 2_000
_ADDRESS = re.compile(r"https?://[!-~]{1,200}")
# Base64, hexadecimal digits, Ascii85 and similar encodings have long runs, or lines of 60 characters or more, without
# spaces.
_RUN = re.compile(r"[!-~]{48,}")
_HEX_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2}[\s,:;-]{1,2}){32,}")
# The first characters of JPEG, PNG, GIF and WebP in base64.
_SIGNATURES = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_NOT_WORDS = frozenset({"Cc", "Cn", "Co", "Cs"})


def words(value: object) -> str:
    """Return a metadata value as text, or an empty text if it is not text or may hold a picture.

    Parameters
    ----------
    value : object
        Text, or bytes in UTF-8 or Latin-1. UTF-8 text that was read as Latin-1 is corrected.
    """
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            text = value
        else:
            text = _decoded(value)
    elif isinstance(value, bytes):
        text = _decoded(value)
    else:
        return ""
    text = text.strip("\0 ")
    return text if _is_words(text) else ""


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_words(text: str) -> bool:
    if len(text) > MOST_CHARACTERS or "\ufffd" in text:
        return False
    if any(unicodedata.category(c) in _NOT_WORDS and c not in "\t\n\r" for c in text):
        return False
    rest = _ADDRESS.sub(" ", text)
    joined = "".join(text.split())
    return not (_RUN.search(rest) or _HEX_PAIRS.search(rest) or any(sign in joined for sign in _SIGNATURES))
