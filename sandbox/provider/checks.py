"""What Azure checks beyond names, references and fixed properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import Cloud, Put

CHECKS: dict[str, Callable[[Put], None]] = {}


def common(put: Put) -> None:
    """What holds for every type."""


def deletable(cloud: Cloud, resource_id: str, body: dict[str, Any] | None) -> None:
    """What may forbid to delete a resource besides its users."""
