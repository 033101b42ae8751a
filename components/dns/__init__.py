"""Names: look-ups, the alias in its three modes, and whether names are free."""
