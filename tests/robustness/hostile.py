"""Generators of untrusted input: damaged, inconsistent and unusual files and arguments, made from a seed, none stored.

Every function takes a `numpy.random.Generator` and returns one input; the same seed gives the same input.
"""

from __future__ import annotations

import copy
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

from facepriv.schema import ATTRIBUTES
from facepriv.weights import Provenance, WeightsMetadata

_NUMBERS = (0, -1, 1, 2**31, -(2**63), 10**400, 0.5, float("nan"), float("inf"))
_TEXTS = ("", " ", "\x00", "../up", "/etc/passwd", "ok", "💥" * 3, "\ud800", "a" * 5000)
#: Unusual values to substitute for any value.
ODD: tuple[Any, ...] = (None, True, False, *_NUMBERS, *_TEXTS, [], [[]], {}, {"file": []}, [None] * 50)
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "ICO")

#: Words for the command line.
_COMMANDS = "apply sheet evaluate compare attack pack convert methods plugins --version nonsense"
_OPTIONS = """-o --out --method --obfuscate --target --policy --strength --seed --set --workers --on-no-face --resume
    --overwrite --key-file --labels --layout --fail-if --fmr --limit --estimator --matcher --json --methods --outputs
    --help --trust-existing --no-such"""
_VALUES = """photos absent out pixelate privacynet gender gender=same race=none flip -1 nan 1e999 0 .. 💥 %s {0} x.y=z
    pixelate.cells=x __import__('os') -- - labels.csv out/deep/er photos/a.png"""
_STRANGE = ("", " ", "\t", "a" * 4000, "tmr_loss > 2", "\udcff")


def image(rng: Generator) -> bytes:
    """Return the bytes of a purported image."""
    makers: tuple[Callable[[Generator], bytes], ...] = (_lying_png, _lying_jpeg, _bomb, _noise, _nested_tiff)
    if rng.random() < 0.25:
        return makers[rng.integers(len(makers))](rng)
    return damaged(sound_image(rng), rng)


def manifest(rng: Generator) -> tuple[bytes, bytes]:
    """Return a manifest and its ``run.json``."""
    row = {
        "file": "a.png",
        "method": "m",
        "version": "1",
        "weights": "",
        "status": "ok",
        "faces": 1,
        "sha256": "0" * 64,
    }
    info = {"format": 1, "methods": [{"name": "m", "seen": ["x"]}], "earlier": [{"methods": []}]}
    lines = [json.dumps(row) for _ in range(int(rng.integers(1, 5)))]
    lines[rng.integers(len(lines))] = odd_json(row, rng)
    text = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    return damaged(text, rng) if rng.random() < 0.3 else text, odd_json(info, rng).encode("utf-8", "surrogatepass")


def shard(rng: Generator) -> bytes:
    """Return a purported tar shard."""
    kinds = [tarfile.REGTYPE] * 9 + [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_LONGNAME]
    names = ["a.png", "b/c.jpg", "d.webp", "e.bmp"] * 4 + ["../up.png", "/a.png", "x.json", ".h.png", "ü" * 90]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=int(rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))) as tar:
        for _ in range(int(rng.integers(0, 4))):
            info = tarfile.TarInfo(str(rng.choice(names)))
            info.type = kinds[rng.integers(len(kinds))]
            if rng.random() < 0.2:
                key = str(rng.choice(["size", "path", "GNU.sparse.map", "GNU.sparse.major", "x"]))
                info.pax_headers = {key: str(rng.choice(["-1", "9" * 30, "1,2", "a"]))}
            data = sound_image(rng) if rng.random() < 0.9 else rng.bytes(int(rng.integers(0, 2000)))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    content = bytearray(out.getvalue())
    if rng.random() < 0.2:  # an arbitrary size of the first member, with a valid checksum
        size = [b"\xff" * 12, b"\x80" + rng.bytes(11), b"77777777777\0", b"-0000000512\0", b"\0" * 12]
        content[124:136] = size[rng.integers(len(size))]
        total = sum(content[:148]) + 8 * 32 + sum(content[156:512])
        content[148:156] = f"{total:06o}\0 ".encode()
    return damaged(bytes(content), rng) if rng.random() < 0.5 else bytes(content)


def weights(rng: Generator) -> bytes:
    """Return a purported safetensors file of facepriv."""
    said = WeightsMetadata("a", Provenance("b", "c", "2026-01-01", seen=("d",)), {"e": 1}, ATTRIBUTES).to_json()
    if rng.random() < 0.5:
        said = odd_json(json.loads(said), rng)
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    header: dict[str, Any] = {"__metadata__": {"facepriv": said}, "w": tensor}
    text = json.dumps(header) if rng.random() < 0.5 else odd_json(header, rng)
    body = text.encode("utf-8", "surrogatepass")
    length = len(body) if rng.random() < 0.7 else int(rng.choice([0, 1, 2**20, 2**31, 2**62, 2**63 - 1]))
    data = struct.pack("<Q", length) + body + bytes(16)
    return damaged(data, rng) if rng.random() < 0.3 else data


def table(rng: Generator) -> bytes:
    """Return a purported CSV table of labels for the single photo ``a.png``."""
    words = ["file", "female", "white", "30", "-3", "1e999", "\x00", '"', "ü", "=1+1", "a" * 3000, "../a.png", ""]
    sound = ["a.png", "somebody", "female", "white", "30"]
    lines = [
        [w if rng.random() < 0.8 else str(rng.choice(words)) for w in sound] for _ in range(int(rng.integers(0, 3)))
    ]
    head = "file,subject,gender,race,age" if rng.random() < 0.8 else ""
    text = "\r\n".join([head, *map(",".join, lines)]).encode()
    return damaged(text, rng) if rng.random() < 0.4 else text


def arguments(rng: Generator) -> list[str]:
    """Return command-line arguments; none of them starts long work."""
    values = [*_VALUES.split(), *_STRANGE]
    words = [str(rng.choice(["", *_COMMANDS.split()]))]
    for _ in range(int(rng.integers(0, 9))):
        words.append(str(rng.choice(_OPTIONS.split() if rng.random() < 0.5 else values)))
    return words


def odd_json(content: Any, rng: Generator) -> str:
    """Return the JSON of `content` with unusual values, missing or added keys; occasionally invalid JSON."""
    kind = rng.random()
    if kind < 0.05:
        return "[" * int(rng.integers(1, 200_000))
    if kind < 0.1:
        return str(rng.choice(["", "null", "[]", "7", '"text"', "{", "{}}", "\x00", "NaN"]))
    changed = json.loads(json.dumps(content))
    for _ in range(int(rng.integers(1, 4))):
        _spoil(changed, rng)
    return json.dumps(changed)


def damaged(data: bytes, rng: Generator) -> bytes:
    """Return bytes that are truncated, flipped, deleted, repeated or inserted."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not content:
            break
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 64))
        match int(rng.integers(6)):
            case 0:
                del content[at:]
            case 1:
                content[at] ^= 1 << int(rng.integers(8))
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                content[at:at] = rng.bytes(length)
            case 5:  # overwrite lengths and offsets
                content[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 2**16 - 1, 2**31, 2**32 - 1])))
    return bytes(content)


def _spoil(content: Any, rng: Generator) -> None:
    """Change one random value inside a dict or list."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        inner = content[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
            content = inner
            continue
        kind = rng.random()
        if kind < 0.2:
            del content[key]
        elif kind < 0.3 and isinstance(content, dict):
            content[str(rng.choice(["extra", "file", "", "__class__"]))] = _odd(rng)
        else:
            content[key] = _odd(rng)
        return


def _odd(rng: Generator) -> Any:
    """Return an unusual value; a copy, because `_spoil` may change what is inside it."""
    return copy.deepcopy(ODD[rng.integers(len(ODD))])


def sound_image(rng: Generator) -> bytes:
    """Return a small valid image file, of any format and mode, with or without metadata."""
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    kind = str(rng.choice(FORMATS))
    modes = {"JPEG": ("L", "RGB", "CMYK"), "BMP": ("1", "L", "P", "RGB"), "PPM": ("L", "RGB"), "WEBP": ("RGB", "RGBA")}
    mode = str(rng.choice(modes.get(kind, ("1", "L", "LA", "P", "RGB", "RGBA"))))
    base = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
    more: dict[str, Any] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = int(rng.integers(0, 12)), "words"
        more["exif"] = exif
    if kind in ("PNG", "WEBP", "GIF", "TIFF") and rng.random() < 0.2:
        more |= {"save_all": True, "append_images": [base.copy()]}
    if kind in ("JPEG", "PNG") and rng.random() < 0.2:
        more["icc_profile"] = rng.bytes(200)
    out = io.BytesIO()
    try:
        base.save(out, kind, **more)
    except (OSError, ValueError):  # the format does not support this mode
        base.convert("RGB").save(out, kind)
    return out.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(data, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _lying_png(rng: Generator) -> bytes:
    """Return a PNG whose header contradicts its data."""
    side = [0, 1, 7, 3000, 70_000, 2**31 - 1, 2**32 - 1]
    width, height = (int(rng.choice(side)) for _ in range(2))
    return _png(width, height, int(rng.choice([0, 1, 2, 3, 8, 16, 255])), int(rng.integers(0, 8)), rng.bytes(100))


def _lying_jpeg(rng: Generator) -> bytes:
    """Return a JPEG whose frame header has a wrong size, precision or number of channels."""
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(out, "JPEG")
    content = bytearray(out.getvalue())
    at = content.index(b"\xff\xc0")
    content[at + 4] = int(rng.choice([0, 8, 12, 16]))
    content[at + 5 : at + 9] = struct.pack(">HH", *(int(v) for v in rng.choice([0, 1, 16, 9000, 65535], 2)))
    content[at + 9] = int(rng.choice([0, 1, 3, 4, 255]))
    return bytes(content)


def _bomb(rng: Generator) -> bytes:
    """Return a small PNG that decompresses to a large image."""
    side = int(rng.choice([4000, 12_000, 30_000]))
    return _png(side, side, 8, 2, bytes(int(rng.choice([10**6, 5 * 10**7]))))


def _nested_tiff(rng: Generator) -> bytes:
    """Return a TIFF whose directories have arbitrary offsets, including their own."""
    entries = int(rng.choice([0, 1, 5, 65535]))
    body = b"".join(
        struct.pack(
            "<HHII",
            int(rng.choice([256, 257, 258, 273, 279, 330, 34665, 700])),
            int(rng.integers(0, 14)),
            int(rng.choice([0, 1, 2**16, 2**31])),
            int(rng.choice([0, 8, 9, 2**31 - 1])),
        )
        for _ in range(min(entries, 12))
    )
    return b"II*\x00" + struct.pack("<IH", 8, entries) + body + struct.pack("<I", int(rng.choice([0, 8])))


def _noise(rng: Generator) -> bytes:
    """Return a known signature followed by noise, or no bytes."""
    magic = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"II*\x00", b"MM\x00*", b"BM"]
    magic += [b"GIF89a", b"%PDF-1.4", b"%!PS-Adobe-3.0 EPSF", b"8BPS", b"<svg>", b"PK\x03\x04", b"\x80\x04"]
    return magic[rng.integers(len(magic))] + rng.bytes(int(rng.integers(0, 400)))
