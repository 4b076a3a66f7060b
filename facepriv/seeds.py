"""Random generators that depend on content, method and seed, never on order, batch size or workers.

What an outsider can recompute protects nothing: generators that choose *targets* are keyed with a secret of the
run (`secrets.token_bytes`, or a key file), generators that only add noise need none.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of `data` as hex."""
    return hashlib.sha256(data).hexdigest()


def face_rng(content: str, face: int, purpose: str, seed: int, key: bytes = b"") -> np.random.Generator:
    """Return the generator of one face.

    Parameters
    ----------
    content : str
        Hash of the original file or pixels.
    face : int
        Index of the face in its photo.
    purpose : str
        The method's name, or what the draw is for.
    seed : int
        The user's seed.
    key : bytes
        A secret of the run; empty where the draw may be recomputed.
    """
    message = f"{content}/{face}/{purpose}/{seed}".encode()
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
