"""Sample content: made, published and downloaded again, as publishers and clients do."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dns.exception
import dns.resolver
import jwt
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient, ContentSettings
from requests.adapters import HTTPAdapter

from sandbox.dataplane.desired import Desired
from sandbox.dataplane.gate import BLOB_WRITERS
from sandbox.dataplane.network import SERVERS_PORT
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.terminal import Problem

DOWNLOADED = "packages/contoso-client.bin"
LARGE_BYTES = 20_000_000
SEED = 2017
TEXTS = {
    "readme.txt": "Sample content of the sandbox's distribution point.\n",
    "packages/Überblick der Pakete.txt": "contoso-client.bin: twenty megabytes of chance.\n",
}
READY_SECONDS = 120.0
ANSWER_SECONDS = 30.0
PATIENCE = {
    # Until a raised quota reaches an instance.
    requests.codes.service_unavailable: READY_SECONDS,
    # Content that was asked for before it was published is missing for some seconds more.
    requests.codes.not_found: 10.0,
}
"""How long an answer may last that is right in the end, in seconds."""
CHUNK = 1024 * 1024
MOMENT = 0.3
TRIES = 2


@dataclass(frozen=True, kw_only=True)
class Point:
    """A distribution point, as its service settings describe it."""

    fqdn: str
    port: int
    address: str
    content_url: str
    token_keys: tuple[str, ...]
    anonymous: bool
    publisher: str
    """Object id of a principal that may publish; empty for none."""

    @property
    def connect(self) -> str:
        """Where it listens."""
        return f"{self.address}:{self.port}"


class SandboxDns(HTTPAdapter):
    """Connects to where the sandbox's DNS server says that a name is."""

    def __init__(self, nameserver: str) -> None:
        super().__init__()
        host, _, port = nameserver.rpartition(":")
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [host]
        self._resolver.port = int(port)
        self._resolver.lifetime = ANSWER_SECONDS

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """Name the host in the request itself, since the connection is to an address."""
        request.headers["Host"] = urlsplit(str(request.url)).netloc
        return super().send(request, *args, **options)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Say where to connect to, and whose certificate to expect there."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = host["host"]
        try:
            host["host"] = str(self._resolver.resolve(name, "A")[0])
        except dns.exception.DNSException as error:
            raise requests.ConnectionError(f"{name} does not resolve: {error}") from error
        return host, {**pool, "server_hostname": name, "assert_hostname": name}


class PublisherCredential:
    """What the Azure SDK signs in with."""

    def __init__(self, issuer: TokenIssuer, principal: str) -> None:
        self._issuer = issuer
        self._principal = principal

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return a token for storage."""
        token = self._issuer.token(self._principal, scopes[0].removesuffix(".default"))
        return AccessToken(token, int(time.time()) + 3600)


def points(desired: Desired) -> list[Point]:
    """Return the distribution points that run, from their service settings in the vaults."""
    return [
        point
        for _, secret in sorted(desired.secrets.items())
        if secret.content_type == "application/json"
        if (point := _point(desired, json.loads(secret.value)))
    ]


def make(folder: Path) -> None:
    """Write the sample files, the same ones each time, unless they are there."""
    large = folder / DOWNLOADED
    if large.exists() and large.stat().st_size == LARGE_BYTES:
        return
    large.parent.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    # The last one says that all are there.
    part = large.with_suffix(".part")
    part.write_bytes(random.Random(SEED).randbytes(LARGE_BYTES))  # noqa: S311
    part.replace(large)


def publish(folder: Path, point: Point, *, nameserver: str, authority: Path, key: str) -> int:
    """Upload what the container lacks or has otherwise, with the Azure SDK.

    Args:
        folder: What to publish; names are paths in it.
        point: Where to.
        nameserver: The sandbox's DNS server.
        authority: PEM of the authority of the sandbox's storage.
        key: What the sandbox's access tokens are signed with.

    Returns:
        How many files were uploaded.

    Raises:
        Problem: Storage refuses.
    """
    url = urlsplit(point.content_url)
    container = ContainerClient(
        f"https://{url.hostname}:{SERVERS_PORT}",
        url.path.strip("/"),
        credential=PublisherCredential(TokenIssuer(key), point.publisher),
        transport=RequestsTransport(session=_session(nameserver), connection_verify=str(authority)),
        retry_total=TRIES,
    )
    uploaded = 0
    with container:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            name = path.relative_to(folder).as_posix()
            digest = hashlib.md5(path.read_bytes()).digest()  # noqa: S324 - as storage has it
            try:
                if not _has(container, name, digest):
                    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                    settings = ContentSettings(content_type=kind, content_md5=bytearray(digest))
                    with path.open("rb") as file:
                        container.upload_blob(name, file, overwrite=True, content_settings=settings)
                    uploaded += 1
            except AzureError as error:
                reason = str(error).splitlines()[0]
                raise Problem(f"{name} could not be published: {reason}") from error
    return uploaded


def verify(folder: Path, point: Point, *, nameserver: str, authority: Path) -> str:
    """Download a sample as a client does, and compare it.

    Args:
        folder: What was published.
        point: Where from.
        nameserver: The sandbox's DNS server.
        authority: PEM of the authority of the service certificate.

    Returns:
        A sentence that says what was seen.

    Raises:
        Problem: The service does not become ready, or gives something else.
    """
    base = f"https://{point.fqdn}:{point.port}"
    with _session(nameserver) as session:
        session.verify = str(authority)
        _wait_until_ready(session, base)
        token = {} if point.anonymous else {"Authorization": f"Bearer {_token(point)}"}
        url = f"{base}/{quote(DOWNLOADED)}"
        total, size = hashlib.sha256(), 0
        try:
            with _content(session, url, token) as reply:
                for chunk in reply.iter_content(CHUNK):
                    total.update(chunk)
                    size += len(chunk)
        except requests.RequestException as error:
            raise Problem(f"{url} could not be downloaded: {error}") from error
    wanted = hashlib.sha256((folder / DOWNLOADED).read_bytes())
    if total.digest() != wanted.digest():
        raise Problem(f"{url} gives {size} bytes that are not what was published.")
    return (
        f"Downloaded {url} ({size / 10**6:.0f} MB) from {point.connect}:"
        f" its SHA-256 is that of what was published, {total.hexdigest()[:16]}…"
    )


def _point(desired: Desired, settings: Mapping[str, Any]) -> Point | None:
    """The distribution point of service settings, None where they are another secret's text."""
    try:
        balancer = settings["metrics"]["loadBalancerId"].lower()
        storage, access = settings["storage"], settings["access"]
        address = next(
            rule.address for rule in desired.rules if rule.pool.startswith(f"{balancer}/")
        )
        scope = (
            f"{storage['accountId']}/blobServices/default/containers/{storage['container']}".lower()
        )
        return Point(
            fqdn=settings["fqdn"],
            port=settings["servicePort"],
            address=address,
            content_url=f"{storage['url']}{storage['container']}",
            token_keys=tuple(access["tokenKeys"]),
            anonymous=access["anonymous"],
            publisher=min(
                (
                    each.principal
                    for each in desired.grants
                    if each.scope == scope and each.role in BLOB_WRITERS
                ),
                default="",
            ),
        )
    except (KeyError, TypeError, StopIteration):
        return None


def _session(nameserver: str) -> requests.Session:
    session = requests.Session()
    # A proxy does not know the sandbox.
    session.trust_env = False
    session.mount("https://", SandboxDns(nameserver))
    return session


def _has(container: ContainerClient, name: str, digest: bytes) -> bool:
    try:
        found = container.get_blob_client(name).get_blob_properties()
    except ResourceNotFoundError:
        return False
    return bytes(found.content_settings.content_md5 or b"") == digest


def _wait_until_ready(session: requests.Session, base: str) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            answer = session.get(f"{base}/readyz", timeout=ANSWER_SECONDS)
            if answer.status_code == requests.codes.ok:
                return
            seen = f"it answers {answer.status_code}"
        except requests.RequestException as error:
            seen = str(error)
        if time.monotonic() > end:
            raise Problem(f"{base}/readyz is not ready after {READY_SECONDS:g} seconds: {seen}.")
        time.sleep(MOMENT)


def _content(session: requests.Session, url: str, token: Mapping[str, str]) -> requests.Response:
    """What instances answer once they know the quota that was raised and the content published."""
    begun = time.monotonic()
    while True:
        reply = session.get(url, headers=token, stream=True, timeout=ANSWER_SECONDS)
        if reply.status_code == requests.codes.ok:
            return reply
        with reply:
            if time.monotonic() > begun + PATIENCE.get(reply.status_code, 0):
                raise Problem(f"{url} answers {reply.status_code}: {reply.text.strip()}")
        time.sleep(MOMENT)


def _token(point: Point) -> str:
    now = int(time.time())
    return jwt.encode({"iat": now, "exp": now + 3600}, point.token_keys[0], algorithm="HS256")
