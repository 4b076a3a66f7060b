"""The secret key of a run, which seeds drawn targets."""

from __future__ import annotations

import secrets
from pathlib import Path

from facepriv.errors import UsageError

#: Minimum length of the secret in a key file, in bytes.
KEY_BYTES = 16
#: Maximum length. An endless source (``/dev/urandom``), or a file that is not a key, is not read into memory.
MOST_KEY_BYTES = 65_536
_HOW = "make a key with: head -c 32 /dev/urandom >"


def new_key() -> bytes:
    """Return a fresh secret for the draws of targets; it is not stored."""
    return secrets.token_bytes(32)


def read_key(path: Path, out: str) -> bytes:
    """Read the secret of a run from a file.

    Raises
    ------
    UsageError
        If the file cannot be read, is too short or too long, or lies in the output folder, which others can see.
    """
    if path.resolve().is_relative_to(Path(out).resolve()):
        raise UsageError(f"{path}: the key lies in the output folder; keep it elsewhere, it undoes the drawn targets")
    try:
        with path.open("rb") as file:
            key = file.read(MOST_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; {_HOW} {path}") from error
    if len(key) > MOST_KEY_BYTES:
        raise UsageError(f"{path}: holds more than {MOST_KEY_BYTES:,} bytes; {_HOW} key")
    if len(key) < KEY_BYTES:
        raise UsageError(f"{path}: holds {len(key)} bytes, a key has at least {KEY_BYTES}")
    return key
