"""The command line. A command's module is imported only when it runs, so that listing and help stay fast."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

from facepriv import __version__
from facepriv.cli.console import Failure
from facepriv.errors import FaceprivError

#: Command -> one line for the listing; the command is `command` in the module of its name, with underscores.
COMMANDS: Mapping[str, str] = {
    "apply": "Protect photos: files, folders, patterns.",
    "serve": "Open a local page: try methods on a photo, protect a folder.",
    "sheet": "Show protected photos beside their originals, the worst first.",
    "evaluate": "Compare protected photos, made by anything, with their originals.",
    "methods": "List the installed methods, or show one in detail.",
    "plugins": "List the installed plugins, and what is wrong with any.",
    "weights": "List the weights that installed plugins ship, and verify them.",
    "new-plugin": "Write an installable package for a new method.",
    "check": "Run the conformance checks on a method.",
    "doctor": "Check this installation, with a self-test on a real face.",
    "demo": "Protect two public-domain portraits and measure the result.",
    "compare": "Compare methods over a data set, as one report.",
    "attack": "Measure what adversaries recover from protected photos.",
    "pack": "Turn data sets into an aligned training pack.",
    "train": "Train a method or an estimator that a plugin provides.",
    "convert": "Convert a published weights file to the format of an installed method.",
    "export": "Write a method as a file that other programs run.",
}


class LazyGroup(click.Group):
    """A group that lists its commands without importing them, and prints facepriv's errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the listing."""
        return list(self.summaries())

    def summaries(self) -> Mapping[str, str]:
        """Return command -> one line."""
        return COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"facepriv.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the listing; click's own implementation would import every command for its first line."""
        rows = list(self.summaries().items())
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; convert a `FaceprivError` or `OSError` to one line and an exit code."""
        try:
            return super().invoke(ctx)
        except FaceprivError as error:
            raise Failure(str(error), error.exit_code) from error
        except BrokenPipeError:
            raise  # click exits silently when `| head` closes the pipe
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1) from error
        except (KeyboardInterrupt, click.Abort):
            raise Failure("interrupted", 130) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facepriv")
def main() -> None:
    """Hide gender, age or race in face photos while face recognition keeps working.

    Example: facepriv apply photos/ -o protected/ --method privacynet --obfuscate gender
    """
