"""`python -m sandbox.dataplane STATE VERSION`: the data plane of the sandbox in that folder.

`sandbox.dataplane.control` starts it in the background, and ends it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.dataplane.room import Room
from sandbox.dataplane.supervisor import Supervisor
from sandbox.terminal import Problem


def main(state: str, version: str) -> None:
    """Run until told to end."""
    room = Room(Path(state))
    lock = room.lock()
    if lock is None:
        sys.exit(f"Another data plane serves {room.state}.")
    with lock:
        try:
            Supervisor(room, version).run()
        except Problem as problem:
            sys.exit(str(problem))
        except OSError as error:
            sys.exit(f"The data plane cannot be had: {error}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
