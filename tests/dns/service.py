"""A small HTTPS service that can be wrong in the ways that a distribution point can be."""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.readiness.stages import QUOTA_USED_UP
from tests.dns.servers import ADDRESS
from tests.unit.certificates import Key, ec_key, make_authority, make_certificate

FQDN = "dp.contoso.test"
SITE = "dp1.region.cloudapp.test"
CONTENT = bytes(range(256)) * 4
CONTENT_PATH = "/apps/Über uns +1%.bin"
TOKEN_KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and its chain."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate

    @property
    def chain_pem(self) -> str:
        """Certificate and intermediates, as the stack knows them."""
        return "".join(_pem(each) for each in (self.certificate, *self.chain))

    @property
    def private_pem(self) -> str:
        """The key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def root_pem(self) -> str:
        """What a client that trusts its authority knows."""
        return _pem(self.root)

    def without_chain(self) -> Identity:
        """The certificate alone."""
        return replace(self, chain=())


@dataclass
class Behaviour:
    """What the service does; a test changes it while it runs.

    Attributes:
        identities: taken in turn, one for each connection, as if by several instances.
        ready: answer of `/readyz`.
        ranges: whether it knows ranges.
        length: whether HEAD tells the length.
        shift: by how much it errs in the ranges that it sends.
        token_key: key of the tokens that it takes; none for everybody.
        stopped: of so many requests for content, one is refused for the transfer quota; 0 for none.
    """

    identities: Sequence[Identity]
    ready: int = 200
    ranges: bool = True
    length: bool = True
    shift: int = 0
    token_key: str = ""
    stopped: int = 0
    requests: list[str] = field(default_factory=list)
    asked_for: list[str | None] = field(default_factory=list)
    """Names that clients sent in the handshake (SNI)."""


def identity(fqdn: str = FQDN, **changes: object) -> Identity:
    """A certificate for that name from an intermediate of a new authority."""
    root = make_authority("Root CA")
    issuer = make_authority("Issuing CA", issuer=root)
    key = ec_key()
    certificate = make_certificate(fqdn, key, issuer=issuer, names=[fqdn], **changes)  # ty: ignore[invalid-argument-type]
    return Identity(certificate, key, (issuer.certificate,), root.certificate)


@contextlib.contextmanager
def serve(behaviour: Behaviour, folder: Path) -> Generator[int]:
    """Serves on loopback until the end of the block. Yields the port."""
    numbers = itertools.count()
    downloads = itertools.count()
    writing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            behaviour.requests.append(f"{self.command} {self.path} {self.headers['Host']}")
            if self.path == "/healthz":
                self.answer(200, b'{"ApplicationHealthState":"Healthy"}')
            elif self.path == "/readyz":
                self.answer(behaviour.ready, json.dumps({"waits for": "certificate"}).encode())
            elif not self.may():
                self.answer(401, b"A token is needed.")
            elif behaviour.stopped and next(downloads) % behaviour.stopped == 0:
                self.answer(503, b"Stopped.", {"X-CloudDP-Reason": QUOTA_USED_UP})
            elif unquote(self.path) != CONTENT_PATH:
                self.answer(404, b"There is no such content.")
            else:
                self.content()

        def may(self) -> bool:
            if not behaviour.token_key:
                return True
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                claims = jwt.decode(token, behaviour.token_key, algorithms=["HS256"])
            except jwt.InvalidTokenError:
                return False
            return (
                claims["path"] == unquote(self.path) and claims["exp"] - claims["iat"] <= 24 * 3600
            )

        def content(self) -> None:
            asked = self.headers.get("Range")
            if not asked or not behaviour.ranges:
                self.answer(200, CONTENT)
                return
            first, last = (
                int(end) + behaviour.shift for end in asked.removeprefix("bytes=").split("-")
            )
            header = f"bytes {first}-{last}/{len(CONTENT)}"
            self.answer(206, CONTENT[first : last + 1], {"Content-Range": header})

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if behaviour.length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def process_request_thread(self, request, client_address) -> None:  # noqa: ANN001
            each = behaviour.identities[next(numbers) % len(behaviour.identities)]
            with writing:
                context = _context(each, folder)
            context.sni_callback = lambda _, name, __: behaviour.asked_for.append(name)
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(request, server_side=True) as secured,
            ):
                super().process_request_thread(secured, client_address)

    with Server((ADDRESS, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(5)


def _context(each: Identity, folder: Path) -> ssl.SSLContext:
    file = folder / f"{each.certificate.serial_number:x}{len(each.chain)}.pem"
    if not file.exists():
        file.with_suffix(".new").write_text(each.private_pem + each.chain_pem)
        file.with_suffix(".new").rename(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
