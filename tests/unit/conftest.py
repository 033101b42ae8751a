"""What all unit tests share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from components import preflight
from components.dns import alias
from components.dns.by_hand import Standing
from components.dns.name_checks import Found


@pytest.fixture(autouse=True)
def no_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every name be free: unit tests ask no DNS server."""

    def nothing(points: Sequence[object]) -> list[Found]:
        return [Found((), ()) for _ in points]

    monkeypatch.setattr(preflight, "look_up_each", nothing)
    monkeypatch.setattr(alias, "standing", lambda *_: Standing())
