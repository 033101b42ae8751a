"""Tokens as Microsoft Entra ID gives them out: who signs them here, checks them here too."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import jwt

# One of the issuers that Azurite takes tokens of.
ISSUER = "https://sts.windows.net/00000000-0000-0000-0000-000000000001/"
LIFE_SECONDS = 24 * 3600


class TokenIssuer:
    """Makes access tokens for principals, and says whose a token is."""

    def __init__(self, key: str | None = None) -> None:
        """Take a key, so that others with the same key make and take the same tokens."""
        self._key = key or secrets.token_hex(32)

    def token(self, principal: str, audience: str, *, seconds: float = LIFE_SECONDS) -> str:
        """Return an access token.

        Args:
            principal: The principal's object id.
            audience: What the token is for.
            seconds: How long it is valid; negative for one that has ended.
        """
        now = time.time()
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "iat": int(now + min(seconds, 0) - 1),
            "nbf": int(now + min(seconds, 0) - 1),
            "exp": int(now + seconds),
            "oid": principal,
            "sub": principal,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def principal(self, token: str, audience: str | Sequence[str]) -> str | None:
        """Return whose token it is, None where it is valid for none of the audiences now."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"], audience=audience)
        except jwt.InvalidTokenError:
            return None
        return str(claims["oid"])
