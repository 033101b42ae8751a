"""How often something that fails is tried again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator

from .problem import Problem

FIRST_SECONDS = 60.0
MOST_SECONDS = 300.0
MOST_ASKED_SECONDS = 3600.0


class Patience:
    """Waits as long as it is asked to, and longer after each failure where it is not."""

    def __init__(self) -> None:
        self._growing = 0.0
        self._until = 0.0
        self._sentence = ""

    @contextlib.contextmanager
    def attempt(self) -> Generator[None]:
        """Tries once, or says again what was wrong while it is too early to.

        Nothing else waits for it: the problem that comes out of it asks for no wait.

        Raises:
            Problem: it failed, now or before.
        """
        if time.monotonic() < self._until:
            raise Problem(self._sentence)
        try:
            yield
        except Problem as problem:
            self._until = time.monotonic() + max(
                self._growing, min(problem.retry_after, MOST_ASKED_SECONDS)
            )
            self._growing = min(max(2 * self._growing, FIRST_SECONDS), MOST_SECONDS)
            self._sentence = str(problem)
            raise Problem(self._sentence) from problem
        self._growing = 0.0
