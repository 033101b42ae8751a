"""Tokens of the managed identity. Nothing else on the instance talks to the metadata service.

Source: Microsoft Learn, "How to use managed identities for Azure resources on an Azure VM to
acquire an access token"; limits: "Azure Instance Metadata Service".
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from .problem import Problem
from .web import Web

METADATA = "http://169.254.169.254/metadata/identity/oauth2/token"
LEAST_SECONDS_LEFT = 60


@dataclass(frozen=True)
class Token:
    """A token and its times, in seconds since 1970."""

    value: str
    renew_at: float
    expires_at: float


class Identity:
    """The tokens of the identity: each is fetched again when half of its life is over."""

    def __init__(self, web: Web, client_id: str) -> None:
        self._web = web
        self._client_id = client_id
        self._tokens: dict[str, Token] = {}

    def token(self, audience: str) -> str:
        """A token for an audience that is valid for a minute at least.

        Raises:
            Problem: there is none to be had.
        """
        held = self._tokens.get(audience)
        now = time.time()
        if held and now < held.renew_at:
            return held.value
        try:
            fetched = self._fetch(audience)
        except Problem:
            if held and now < held.expires_at - LEAST_SECONDS_LEFT:
                return held.value
            raise
        self._tokens[audience] = fetched
        return fetched.value

    def forget(self, audience: str) -> None:
        """Drops a token that its receiver refused, so that the next one is a new one."""
        self._tokens.pop(audience, None)

    def _fetch(self, audience: str) -> Token:
        query = urlencode(
            {"api-version": "2018-02-01", "resource": audience, "client_id": self._client_id}
        )
        reply = self._web.request(f"{METADATA}?{query}", headers={"Metadata": "true"}, seconds=5)
        if reply.status != 200:
            raise Problem(
                f"The metadata service gives no token for {audience} (status {reply.status}).",
                retry_after=reply.retry_after,
            )
        now = time.time()
        try:
            values = json.loads(reply.body)
            life = float(values["expires_in"])
            return Token(str(values["access_token"]), now + life / 2, now + life)
        except (ValueError, KeyError, TypeError) as error:
            raise Problem("The metadata service's answer cannot be read.") from error
