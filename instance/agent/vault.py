"""Secrets from a vault. Source: Microsoft Learn, Key Vault REST API, "Get Secret"."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .identity import Identity
from .problem import Problem
from .web import Web

API_VERSION = "7.4"
REASONS = {
    401: "refuses the identity's token",
    403: "does not admit this instance yet; roles and firewall rules may take a quarter of an hour",
    404: "has no such secret",
    429: "has too many requests",
}


@dataclass(frozen=True, repr=False)
class Secret:
    """A secret's newest version."""

    value: str
    content_type: str
    id: str
    """URL with the version, so it differs where the value does."""


class Vault:
    """Reads secrets as the managed identity."""

    def __init__(self, web: Web, identity: Identity, audience: str) -> None:
        self._web = web
        self._identity = identity
        self._audience = audience

    def read(self, secret_id: str) -> Secret:
        """Reads the newest version of a secret.

        Args:
            secret_id: URL of the secret without a version.

        Raises:
            Problem: the vault does not give it.
        """
        reply = self._web.request(
            f"{secret_id}?api-version={API_VERSION}",
            headers={"Authorization": f"Bearer {self._identity.token(self._audience)}"},
        )
        if reply.status == 401:
            self._identity.forget(self._audience)
        if reply.status != 200:
            reason = REASONS.get(reply.status, f"answers with status {reply.status}")
            raise Problem(f"The vault of {secret_id} {reason}.", retry_after=reply.retry_after)
        try:
            values = json.loads(reply.body)
            return Secret(
                str(values["value"]), str(values.get("contentType") or ""), str(values["id"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Problem(f"The vault's answer for {secret_id} cannot be read.") from error
