"""What the sandbox's commands say while they work, and how they fail: in one sentence."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

# A person watches a terminal; a log of CI only needs to show that something goes on.
TERMINAL_INTERVAL_SECONDS = 1.0
LOG_INTERVAL_SECONDS = 15.0


class Problem(Exception):
    """What stops a command, as one sentence for the user that says what to do."""


def say(message: str) -> None:
    """Print a line about what goes on; standard output is kept for results."""
    print(message, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return a duration for people: `8 s`, `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Step:
    """A step that takes a while: announced, its time shown while it lasts, its end said.

    Use it as a context manager. `detail` is asked now and then for a few words on how far it is.
    """

    def __init__(self, title: str, detail: Callable[[], str] | None = None) -> None:
        self._title = title
        self._detail = detail
        self._terminal = sys.stderr.isatty()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> None:
        self._start = time.monotonic()
        say(f"{self._title} ...")
        self._ticker.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._ticker.join()
        if kind is None:
            say(f"  done in {duration(time.monotonic() - self._start)}")

    def _tick(self) -> None:
        interval = TERMINAL_INTERVAL_SECONDS if self._terminal else LOG_INTERVAL_SECONDS
        shown = False
        while not self._done.wait(interval):
            words = duration(time.monotonic() - self._start)
            if self._detail and (detail := self._detail()):
                words += f", {detail}"
            if self._terminal:
                print(f"\r\033[K  {words}", end="", file=sys.stderr, flush=True)
                shown = True
            else:
                say(f"  {words}")
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
