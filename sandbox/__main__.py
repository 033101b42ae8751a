"""`python3 -m sandbox COMMAND`: what the Makefile runs, with whatever Python 3 the machine has."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> None:
    """Run one command, in the virtual environment that has the pinned packages."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what says so
        version = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit(
            f"Python 3.11 or later is needed, and {sys.executable} is {version}: install one and"
            " name it, for example `make up PYTHON=python3.12`."
        )
    # Images set it, and then each command would compile the Azure SDK anew, which takes longer than
    # a preview.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Only now: what follows need not run on an old Python.
    from sandbox import environment, requirements
    from sandbox.terminal import Problem

    try:
        interpreter = environment.ensure(requirements.ROOT)
        if sys.prefix != str(interpreter.parent.parent):
            os.execv(interpreter, [str(interpreter), "-m", "sandbox", *arguments])  # noqa: S606
        from sandbox.commands import COMMANDS

        if len(arguments) != 1 or arguments[0] not in COMMANDS:
            sys.exit(f"Usage: python3 -m sandbox {'|'.join(COMMANDS)} (see `make help`)")
        COMMANDS[arguments[0]]()
    except Problem as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


if __name__ == "__main__":
    main(sys.argv[1:])
