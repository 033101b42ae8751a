"""`python -m components.certificate check FILE`: what a deployment sees in a PFX file."""

from .report import main

raise SystemExit(main())
