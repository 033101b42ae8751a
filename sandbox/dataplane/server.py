"""A small JSON server for the stand-ins of Azure's own end points, with faults on request."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What it is told."""

    status: int
    body: Mapping[str, Any] | None
    """None where the answer has no content."""
    headers: Mapping[str, str] = field(default_factory=dict)


class JsonServer:
    """Serves in threads of its own between `start` and `stop`.

    Attributes:
        methods: What clients may send.
        fault: Given instead of every answer while it is set.
        delay: Seconds before each answer.
        asked: How many requests came.
    """

    methods: tuple[str, ...] = ("GET",)

    def __init__(self, host: str, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen at once, so that the port is known.

        Args:
            host: Address to listen on, of the loopback range.
            port: Port, 0 for a free one.
            tls: What to serve TLS with, None for plain HTTP.
        """
        self.fault: Answer | None = None
        self.delay = 0.0
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                self._reply()

            def do_POST(self) -> None:
                self._reply()

            def _reply(self) -> None:
                outer.asked += 1
                size = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(size)
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                time.sleep(outer.delay)
                answer = outer.fault or (
                    outer.answer(Request(parts.path, query, headers, content))
                    if self.command in outer.methods
                    else Answer(405, {}, {"Allow": ", ".join(outer.methods)})
                )
                body = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                if answer.body is not None:
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: what was asked is counted."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is no news."""

        self._server = Server((host, port), Handler)
        if tls:
            # The handshake belongs to the thread of its connection: a slow one blocks no other.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True
        )

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return "{}:{}".format(*self._server.server_address[:2])

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> None:
        self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
