"""The data plane of all Key Vaults: reading a secret.

Source: Microsoft Learn, Key Vault REST API, "Get Secret".
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import ISSUER, TokenIssuer


@dataclass(frozen=True, repr=False)
class VaultSecret:
    """The newest version of a secret."""

    value: str
    content_type: str = ""

    @property
    def version(self) -> str:
        """Differs where the secret differs."""
        return hashlib.md5(f"{self.content_type}\0{self.value}".encode()).hexdigest()  # noqa: S324


class VaultService(JsonServer):
    """Answers for all vaults: the host name says which."""

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        tls: ssl.SSLContext,
        issuer: TokenIssuer,
        audience: str,
        secret: Callable[[str, str], VaultSecret | None],
        admits: Callable[[str, str], bool],
    ) -> None:
        """Listen at once.

        Args:
            host: Address to listen on.
            port: Port, 0 for a free one.
            tls: Certificate for the vaults' names.
            issuer: Whose tokens are taken.
            audience: The audience that they have to be for.
            secret: The newest version of the secret of a vault with a name.
            admits: Whether a vault lets a principal (by object id) read its secrets.
        """
        super().__init__(host, port, tls=tls)
        self._issuer = issuer
        self._audience = audience
        self._secret = secret
        self._admits = admits

    def answer(self, request: Request) -> Answer:
        """Give a secret, or refuse as a real vault does."""
        host = request.headers.get("host", "").split(":")[0]
        vault = host.split(".")[0]
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        principal = self._issuer.principal(token, self._audience)
        if principal is None:
            challenge = f'Bearer authorization="{ISSUER}", resource="{self._audience}"'
            return Answer(
                401,
                _error("Unauthorized", "AKV10000: Request is missing a Bearer or PoP token."),
                {"WWW-Authenticate": challenge},
            )
        if not request.query.get("api-version"):
            return Answer(400, _error("BadParameter", "api-version must be specified"))
        if not self._admits(vault, principal):
            return Answer(403, _error("Forbidden", "Caller is not authorized: ForbiddenByRbac"))
        words = request.path.strip("/").split("/")
        found = self._secret(vault, words[1]) if words[0] == "secrets" and words[1:] else None
        if found is None or words[2:] not in ([], [found.version]):
            return Answer(404, _error("SecretNotFound", "A secret with this name was not found"))
        return Answer(
            200,
            {
                "value": found.value,
                "contentType": found.content_type,
                "id": f"https://{host}/secrets/{words[1]}/{found.version}",
                "attributes": {"enabled": True},
                "tags": {},
            },
        )


def _error(code: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}
