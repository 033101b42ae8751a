"""All measurements: `python -m bench`."""

from __future__ import annotations

from bench import preview, serving

preview.main()
serving.main()
