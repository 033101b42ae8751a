"""The instance metadata service: gives an instance the tokens of its managed identity.

Rules from Microsoft Learn, "Azure Instance Metadata Service" and "How to use managed identities
for Azure resources on an Azure VM to acquire an access token".
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import LIFE_SECONDS, TokenIssuer

PATH = "/metadata/identity/oauth2/token"
REQUESTS_PER_SECOND = 20
REQUESTS_AT_ONCE = 5


class MetadataService(JsonServer):
    """One instance's metadata service.

    Attributes:
        token_seconds: How long the tokens are valid that it says are; see `lie_seconds`.
        lie_seconds: How long they really are valid, where that differs.
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        issuer: TokenIssuer,
        principal_of: Callable[[str], str | None],
    ) -> None:
        """Listen at once.

        Args:
            host: Address to listen on.
            port: Port, 0 for a free one.
            issuer: Who makes the tokens.
            principal_of: Object id of the identity with this client id, None where the instance
                has no such identity.
        """
        super().__init__(host, port)
        self.token_seconds: float = LIFE_SECONDS
        self.lie_seconds: float | None = None
        self._issuer = issuer
        self._principal_of = principal_of
        self._lock = threading.Lock()
        self._at_once = 0
        self._recent: deque[float] = deque()

    def answer(self, request: Request) -> Answer:
        """Give a token, or refuse as the real service does."""
        if not self._admit():
            return _refusal(429, "too_many_requests", "Too many requests")
        try:
            return self._token(request)
        finally:
            with self._lock:
                self._at_once -= 1

    def _admit(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] < now - 1:
                self._recent.popleft()
            if len(self._recent) >= REQUESTS_PER_SECOND or self._at_once >= REQUESTS_AT_ONCE:
                return False
            self._recent.append(now)
            self._at_once += 1
            return True

    def _token(self, request: Request) -> Answer:
        if "x-forwarded-for" in request.headers:
            return _refusal(400, "bad_request", "Requests that were forwarded are refused")
        if request.headers.get("metadata", "").lower() != "true":
            return _refusal(400, "bad_request_102", "Required metadata header not specified")
        if request.path != PATH:
            return _refusal(404, "not_found", "Not found")
        audience = request.query.get("resource", "")
        if not request.query.get("api-version") or not audience:
            return _refusal(400, "invalid_request", "api-version and resource are required")
        principal = self._principal_of(request.query.get("client_id", ""))
        if principal is None:
            return _refusal(400, "invalid_request", "Identity not found")
        life = self.token_seconds if self.lie_seconds is None else self.lie_seconds
        expires = int(time.time() + self.token_seconds)
        # All values are strings.
        return Answer(
            200,
            {
                "access_token": self._issuer.token(principal, audience, seconds=life),
                "client_id": request.query.get("client_id", ""),
                "expires_in": str(int(self.token_seconds)),
                "expires_on": str(expires),
                "resource": audience,
                "token_type": "Bearer",
            },
        )


def _refusal(status: int, error: str, description: str) -> Answer:
    return Answer(status, {"error": error, "error_description": description})
