"""Judges requests by the roles that the control plane knows, as Azure's data planes do.

Source: Microsoft Learn, "Azure built-in roles", and "Authorize access to blobs using Microsoft
Entra ID".
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from components.clouds import CLOUDS, DEFAULT_CLOUD
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import TokenIssuer

BLOB_WRITERS = frozenset(
    {
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",  # Storage Blob Data Contributor
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",  # Storage Blob Data Owner
    }
)
BLOB_READERS = BLOB_WRITERS | {"2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"}  # Storage Blob Data Reader
SECRET_READERS = frozenset(
    {
        "4633458b-17de-408a-b874-0445c86b69e6",  # Key Vault Secrets User
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",  # Key Vault Secrets Officer
    }
)


class StorageGate(JsonServer):
    """Says to the door of storage whether a request may pass: 200, 401 or 403."""

    def __init__(
        self, host: str, port: int, *, issuer: TokenIssuer, desired: Callable[[], Desired]
    ) -> None:
        """Listen at once.

        Args:
            host: Address to listen on.
            port: Port to listen on.
            issuer: Whose tokens are taken.
            desired: What the control plane has now.
        """
        super().__init__(host, port)
        self._issuer = issuer
        self._desired = desired

    def answer(self, request: Request) -> Answer:
        """Judge the request that the headers describe."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        principal = self._issuer.principal(token, CLOUDS[DEFAULT_CLOUD].storage_audience)
        if principal is None:
            return Answer(401, {})
        desired = self._desired()
        account = desired.accounts.get(request.headers.get("x-host", ""))
        path = request.headers.get("x-path", "").partition("?")[0]
        container = unquote(path).strip("/").partition("/")[0]
        scope = f"{account}/blobservices/default/containers/{container}" if container else account
        reads = request.headers.get("x-method") in ("GET", "HEAD")
        roles = BLOB_READERS if reads else BLOB_WRITERS
        admitted = account is not None and desired.permits(principal, str(scope), roles)
        return Answer(200 if admitted else 403, {})
