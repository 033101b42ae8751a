"""The pinned requirements: the files, and what they say of one package."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = ROOT / "requirements.in"
RUNTIME = ROOT / "requirements.txt"
DEVELOPMENT = ROOT / "requirements-dev.txt"


def pinned(package: str) -> str:
    """Return the version of a package that the program runs with."""
    line = re.search(rf"^{re.escape(package)}==(\S+)", RUNTIME.read_text(), re.MULTILINE)
    assert line, f"{RUNTIME} pins {package}"
    return line[1]
