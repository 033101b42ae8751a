"""Requests over HTTP: every one with a time limit and a size limit, none through a proxy."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .places import Endpoints
from .problem import Problem

CHUNK = 65536
JSON_BYTES = 1_000_000


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait, 0 where it does not say; dates are not read."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdigit() else 0.0


class Web:
    """Sends requests, with the end points of this instance."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._tls: ssl.SSLContext | None = None

    def request(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 10,
        limit: int = JSON_BYTES,
    ) -> Reply:
        """Sends one request and reads the whole answer.

        Args:
            url: http or https; redirects are not followed.
            method: the method.
            headers: headers besides `Host`.
            body: the request's body.
            seconds: how long all of it may take.
            limit: how many bytes the answer may have.

        Raises:
            Problem: no whole answer came.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        end = time.monotonic() + seconds
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            connected = socket.create_connection(
                self._endpoints.address(host) or (host, port), timeout=seconds
            )
            if parts.scheme == "https":
                connected = self._context().wrap_socket(connected, server_hostname=host)
            return _exchange(
                connected,
                method,
                target,
                {"Host": parts.netloc, **(headers or {})},
                body,
                end,
                limit,
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Problem(f"{host} cannot be reached: {_words(error)}.") from error

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=str(self._endpoints.ca_bundle))
        return self._tls


def request_locally(path: Path, target: str, *, seconds: float = 10) -> Reply:
    """Asks a server on this machine that listens on a socket file.

    Raises:
        Problem: no whole answer came.
    """
    end = time.monotonic() + seconds
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(seconds)
    try:
        connected.connect(str(path))
        return _exchange(connected, "GET", target, {"Host": "localhost"}, None, end, JSON_BYTES)
    except (OSError, http.client.HTTPException) as error:
        connected.close()
        raise Problem(f"nginx does not answer: {_words(error)}.") from error


def _exchange(
    connected: socket.socket,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None,
    end: float,
    limit: int,
) -> Reply:
    connection = http.client.HTTPConnection("unused")
    connection.sock = connected
    try:
        connection.request(method, target, body=body, headers={"Connection": "close", **headers})
        answer = connection.getresponse()
        content = bytearray()
        while chunk := answer.read1(CHUNK):
            content += chunk
            if len(content) > limit:
                raise ValueError(f"its answer is longer than {limit} bytes")
            if time.monotonic() > end:
                raise TimeoutError("its answer takes too long")
        return Reply(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=bytes(content),
        )
    finally:
        connection.close()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
