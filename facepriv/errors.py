"""All errors raised by facepriv, with their exit codes on the command line.

An error's text is one line: what is wrong, the file or name concerned, and how to fix it.
"""

import re

#: Line breaks and terminal control characters; file names may contain them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class FaceprivError(Exception):
    """Base class of all errors raised on purpose; `exit_code` is the exit code of the CLI."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the text as one line, see `cleaned`."""
        return cleaned(super().__str__())


class UsageError(FaceprivError):
    """The call itself is wrong: an unknown method, attribute, policy or option value."""

    exit_code = 2


class ContractError(FaceprivError, ValueError):
    """An array or a value breaks the contract; the text contains the actual value."""


class PluginError(FaceprivError):
    """A plugin is broken, conflicts with another, or has another contract version."""


class ImageError(FaceprivError):
    """An image file cannot be read or written; the text names the file."""


class NoFaceError(FaceprivError):
    """No face was found in a photo and the user asked that this be an error."""


class DataError(FaceprivError):
    """A data set, a pack or a manifest is missing or not of the expected form."""


class WeightsError(FaceprivError):
    """A weights file is missing, damaged, of another schema, or its hash is wrong."""


class UntrainedError(WeightsError):
    """A method comes without weights: it must be trained first, or needs a weights file."""


def cleaned(text: str) -> str:
    """Return a text as one line: line ends become spaces, other control characters are escaped as in Python."""
    return _CONTROL.sub(lambda found: " " if found[0].isspace() else ascii(found[0])[1:-1], text)


def one_line(error: BaseException) -> str:
    """Return an error's text as one line; errors not from facepriv are prefixed with their type."""
    text = cleaned(" ".join(str(error).split()))
    if isinstance(error, FaceprivError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
