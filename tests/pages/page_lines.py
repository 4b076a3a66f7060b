"""What the project's pages tell a reader to type: command lines, Python snippets, files, and commands in running text.

The rules for a page are few. A block without a language holds commands, and nothing else; in a session only the lines
that begin with ``$`` are commands. What is printed, or a formula, stands in a fence marked ``text``.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
#: A span of running text that begins with one of these is a command, or its beginning.
PROGRAMS = ("facepriv", "make", "python", "pip", "ray", "accelerate")
#: Languages of a fence that holds commands.
_SHELL = ("", "console", "sh")
#: All that a fence may be marked with.
KINDS = (*_SHELL, "python", "toml", "text")


@dataclass(frozen=True)
class Line:
    """One command.

    Parameters
    ----------
    place : str
        ``page:line``, as editors open it.
    text : str
        Without the prompt; continued lines are joined.
    heading : str
        The heading above.
    may_fail : bool
        Whether the page shows an error below: a session that demonstrates one.
    """

    place: str
    text: str
    heading: str = ""
    may_fail: bool = False


@dataclass(frozen=True)
class Block:
    """One block of code: `name` is the file that its fence names after the language, empty where it names none."""

    page: str
    number: int
    kind: str
    name: str
    text: str
    heading: str

    @property
    def place(self) -> str:
        """``page:line`` of the first line."""
        return f"{self.page}:{self.number}"


def tracked(pattern: str) -> list[str]:
    """Return the files that git tracks and that fit a pattern, from the root; none outside a checkout."""
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def blocks(page: str) -> list[Block]:
    """Return the blocks of code of a page."""
    return blocks_of(page, (ROOT / page).read_text(encoding="utf-8"))


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the blocks of code of a page's text."""
    found, heading, tokens = [], "", _tokens(text)
    for n, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[n + 1].content
        if token.type in ("fence", "code_block") and token.map:
            kind, _, name = token.info.strip().partition(" ")
            first = token.map[0] + (2 if token.type == "fence" else 1)
            found.append(Block(page, first, kind, name.strip(), token.content, heading))
    return found


def commands(page: str) -> list[Line]:
    """Return the command lines of a page, in order."""
    return [line for block in blocks(page) if block.kind in _SHELL for line in commands_of(block)]


def commands_of(block: Block) -> list[Line]:
    """Return the command lines of a block."""
    rows = block.text.splitlines()
    session = any(row.startswith("$ ") for row in rows)
    found: list[Line] = []
    number = 0
    while number < len(rows):
        start, text = number, rows[number]
        while text.endswith("\\") and number + 1 < len(rows):
            number += 1
            text = f"{text[:-1].rstrip()} {rows[number].strip()}"
        number += 1
        if session and not text.startswith("$ "):
            if "error:" in text and found:
                found[-1] = Line(found[-1].place, found[-1].text, block.heading, may_fail=True)
            continue
        if text.strip():
            place = f"{block.page}:{block.number + start}"
            found.append(Line(place, text.removeprefix("$ ").strip(), block.heading))
    return found


def mentions(page: str) -> list[Line]:
    """Return the commands that the running text of a page names, whole or in part."""
    return [line for line in _spans(page) if line.text.split()[0] in PROGRAMS and " " in line.text]


def options(page: str) -> list[Line]:
    """Return the options that the running text of a page names."""
    return [line for line in _spans(page) if line.text.startswith("--")]


def examples(script: str) -> list[Line]:
    """Return the commands in the docstring of a Python file."""
    text = ast.get_docstring(ast.parse((ROOT / script).read_text(encoding="utf-8"))) or ""
    calls = re.findall(r"^    (python .*)", text, re.MULTILINE)
    return [Line(script, call) for call in calls]


def _spans(page: str) -> Iterator[Line]:
    for token in _tokens((ROOT / page).read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.strip():
                yield Line(f"{page}:{token.map[0] + 1 if token.map else 0}", child.content.strip())


@cache
def _tokens(text: str) -> list[Token]:
    return MarkdownIt().enable("table").parse(text)
