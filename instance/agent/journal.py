"""What the agent says in the journal: each change once, not each minute again."""

from __future__ import annotations

import time

REPEAT_SECONDS = 1800
# Priorities of syslog, which systemd reads at the beginning of a line.
NOTICE = 5
WARNING = 4


def say(sentence: str, priority: int = NOTICE) -> None:
    """Writes one line."""
    print(f"<{priority}>{sentence}", flush=True)


class Journal:
    """Remembers what was said of each step."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, float]] = {}

    def problem(self, step: str, sentence: str) -> None:
        """Says that a step fails: when that is new, and each half hour while it lasts."""
        said, when = self._said.get(step, ("", 0.0))
        if sentence != said or time.monotonic() - when > REPEAT_SECONDS:
            say(f"{step}: {sentence}", WARNING)
            self._said[step] = (sentence, time.monotonic())

    def works(self, step: str) -> None:
        """Says that a step works again, where it did not."""
        if self._said.pop(step, None):
            say(f"{step}: works again.")
