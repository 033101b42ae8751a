"""Starts the plug-in: Pulumi runs this folder and reads the port from the first line."""

from __future__ import annotations

import sys
from pathlib import Path

# Pulumi puts this folder first on the path, where the package that it belongs to is not found.
sys.path[0] = str(Path(__file__).resolve().parents[3])

from components.dns.provider import main  # noqa: E402

main(sys.argv[1:])
