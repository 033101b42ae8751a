"""Requests to APIs of Azure as the managed identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .identity import Identity
from .problem import Problem
from .web import Reply, Web

SECONDS = 8
REASONS = {
    401: "refuses the identity's token",
    403: "does not admit this instance yet; a role may take ten minutes to act",
    429: "has too many requests",
    529: "has too many requests",
}


class Api:
    """One API: sends each request with a token for its audience."""

    def __init__(self, web: Web, identity: Identity, audience: str) -> None:
        self._web = web
        self._identity = identity
        self._audience = audience

    def request(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Sends a request, and once more with a new token where the token is refused.

        Args:
            url: where to.
            method: the method.
            headers: headers besides the token's.
            body: the request's body.

        Raises:
            Problem: no answer came, or one without success.
        """
        for last in (False, True):
            token = self._identity.token(self._audience)
            reply = self._web.request(
                url,
                method=method,
                headers={"Authorization": f"Bearer {token}", **(headers or {})},
                body=body,
                seconds=SECONDS,
            )
            if reply.status != 401 or last:
                break
            self._identity.forget(self._audience)
        if not 200 <= reply.status < 300:
            reason = REASONS.get(reply.status, f"answers with status {reply.status}")
            raise Problem(f"Azure {reason}{_code(reply)}.", retry_after=reply.retry_after)
        return reply


def _code(reply: Reply) -> str:
    """What Azure calls the error, for whoever looks it up."""
    try:
        values: dict[str, Any] = json.loads(reply.body)
        return f" ({values.get('error', values)['code']})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
