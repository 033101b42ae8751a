"""Commands of the agent: `run` for its unit, `prepare` and `wait` for the install script."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from .keeper import Keeper
from .nginx import Nginx
from .places import Places
from .problem import Problem


def main() -> None:
    """Runs one command."""
    os.umask(0o022)
    parser = argparse.ArgumentParser(prog="agent")
    parser.add_argument("command", choices=["run", "prepare", "wait"])
    parser.add_argument("--seconds", type=float, default=60, help="how long to wait")
    arguments = parser.parse_args()
    places = Places.from_environment()
    try:
        if arguments.command == "run":
            Keeper(places).run()
        elif arguments.command == "prepare":
            Keeper(places).prepare()
        else:
            _wait(places, arguments.seconds)
    except Problem as problem:
        sys.exit(str(problem))


def _wait(places: Places, seconds: float) -> None:
    """Waits until agent and nginx are alive, whatever vault and storage say."""
    nginx = Nginx(places)
    parts: dict[str, Callable[[], bool]] = {
        "The agent": (places.run / "alive").exists,
        "nginx": lambda: nginx.running() != "",
    }
    end = time.monotonic() + seconds
    while silent := [name for name, alive in parts.items() if not alive()]:
        if time.monotonic() > end:
            raise Problem(f"{' and '.join(silent)} did not come up within {seconds:g} seconds.")
        time.sleep(0.2)


main()
