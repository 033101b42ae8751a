"""Readiness: the stages of a distribution point, the wait for them, and the check on demand."""
