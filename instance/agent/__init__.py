"""The agent: keeps what nginx serves with as the vault says it."""
