"""Every error a user can meet, with the exit code that the command line gives it.

An error's text is one line: what is wrong, the file or name concerned, and the mend.
"""

import re

#: What breaks a line or speaks to the terminal; file names may hold it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class FaceprivError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the CLI exits with."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the text in one line, see `cleaned`."""
        return cleaned(super().__str__())


class UsageError(FaceprivError):
    """The call itself is wrong: an unknown method, attribute, policy or option value."""

    exit_code = 2


class ContractError(FaceprivError, ValueError):
    """An array or a value breaks the contract; the text names what was got."""


class PluginError(FaceprivError):
    """A plugin is broken, clashes with another, or speaks another contract version."""


class ImageError(FaceprivError):
    """An image file cannot be read or written; the text names the file."""


class NoFaceError(FaceprivError):
    """No face was found in a photo and the user asked that this be an error."""


class DataError(FaceprivError):
    """A data set, a pack or a manifest is missing or not of the expected form."""


class WeightsError(FaceprivError):
    """A weights file is missing, damaged, of another schema, or its hash is wrong."""


class UntrainedError(WeightsError):
    """A method comes without weights: it must be trained first, or be given a file."""


def cleaned(text: str) -> str:
    """Return a text in one line: a space for a line's end, other control characters as Python writes them."""
    return _CONTROL.sub(lambda found: " " if found[0].isspace() else ascii(found[0])[1:-1], text)


def one_line(error: BaseException) -> str:
    """Return an error's text in one line: our own as they are, any other with its type before it."""
    text = cleaned(" ".join(str(error).split()))
    if isinstance(error, FaceprivError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
