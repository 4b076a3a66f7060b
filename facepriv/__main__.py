"""``python -m facepriv``: the command line, for launchers that need a module."""

from facepriv.cli import main

if __name__ == "__main__":  # spawned workers import this module too
    main(prog_name="facepriv")
