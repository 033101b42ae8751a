from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.dns.servers import Bind


@pytest.fixture
def bind(tmp_path: Path) -> Generator[Callable[..., Bind]]:
    """Starts BIND servers, which end with the test."""
    with ExitStack() as running:
        made: list[Bind] = []

        def start(**settings: Any) -> Bind:
            folder = tmp_path / f"bind{len(made)}"
            made.append(running.enter_context(Bind(folder=folder, **settings)))
            return made[-1]

        yield start
