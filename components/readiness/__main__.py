"""`python -m components.readiness check`: the connection check."""

from .connection_check import main

raise SystemExit(main())
