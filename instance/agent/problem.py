"""What keeps a step of the agent from being done, as one sentence for the journal."""

from __future__ import annotations


class Problem(Exception):
    """A step cannot be done now; what was good before stays in force."""

    def __init__(self, sentence: str, *, retry_after: float = 0) -> None:
        """Says what is wrong.

        Args:
            sentence: one sentence without secrets.
            retry_after: seconds that the other side asked to wait, 0 where it did not.
        """
        super().__init__(sentence)
        self.retry_after = retry_after
