"""One small Azure per test: vault, metadata service, storage, and an instance among them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient, ContentSettings

import instance
from components.clouds import CLOUDS
from sandbox.dataplane.instance import Instance
from sandbox.dataplane.metadata import MetadataService
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.vault import VaultSecret, VaultService
from tests.instance.pki import Authority, Issued
from tests.instance.relay import Relay

CLOUD = CLOUDS["public"]
FQDN = "content.contoso.example"
ACCOUNT = "clouddptests"
VAULT = "clouddpvault"
CLIENT_ID = "11111111-1111-1111-1111-111111111111"
PRINCIPAL = "22222222-2222-2222-2222-222222222222"
TOKEN_KEY = "a-token-key-that-is-long-enough-for-hs256"
STORAGE_HOST = f"{ACCOUNT}.blob.core.windows.net"
MOMENT = 0.05


def free_port() -> int:
    """One that nobody gets who asks the system for any: those are from 32768 on."""
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def until(what: str, true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true, for a limited time."""
    end = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < end, f"waited {seconds:g} seconds in vain: {what}"
        time.sleep(MOMENT)
    return result


class PublisherCredential:
    """What the Azure SDK signs in with."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def get_token(self, *_: Any, **__: Any) -> AccessToken:
        token = self._issuer.token("publisher", CLOUD.storage_audience)
        return AccessToken(token, int(time.time()) + 3600)


class World:
    """Everything around one instance, and the instance."""

    def __init__(
        self, folder: Path, authority: Authority, storage: Storage, issuer: TokenIssuer
    ) -> None:
        self.folder = folder
        self.authority = authority
        self.storage = storage
        self.issuer = issuer
        self.container = f"content-{os.urandom(4).hex()}"
        self.port = free_port()
        self.cache_bytes = 2 * 10**9
        self.roles = {PRINCIPAL}
        self.secrets: dict[str, VaultSecret] = {}
        self.access: dict[str, Any] = {
            "anonymous": False,
            "tokenKeys": [TOKEN_KEY],
            "clientTrustRoots": "",
            "revocationLists": [],
        }
        self.quotas: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.logs: dict[str, Any] = {}
        self.storage_account = "/subscriptions/0/…"
        self.fqdn = FQDN
        self.certificate_format = "pem"
        self.ca = folder / "authority.pem"
        self.ca.write_text(authority.pem)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(
            *authority.issue("*.vault.azure.net").files(folder / "servers", "vault")
        )
        self.metadata = MetadataService(
            "127.0.0.1", issuer=issuer, principal_of={CLIENT_ID: PRINCIPAL}.get
        )
        self.vault = VaultService(
            "127.0.0.1",
            tls=tls,
            issuer=issuer,
            audience=CLOUD.vault_audience,
            secret=lambda _, name: self.secrets.get(name),
            admits=lambda _, principal: principal in self.roles,
        )
        self.relay = Relay(storage.address)
        self.instance = Instance(folder / "instance", owner=os.getpid())
        self.connect: dict[str, str] = {}

    def start_servers(self) -> None:
        self.metadata.start()
        self.vault.start()
        self.relay.start()

    def stop(self) -> None:
        self.instance.stop()
        self.relay.stop()
        self.vault.stop()
        self.metadata.stop()

    def endpoints(self) -> dict[str, Any]:
        return {
            "connect": {
                "169.254.169.254": self.metadata.address,
                ".vault.azure.net": self.vault.address,
                ".blob.core.windows.net": self.relay.address,
                **self.connect,
            },
            "caBundle": str(self.ca),
            "listen": "127.0.0.1",
            "cacheBytes": self.cache_bytes,
        }

    def script(self, **other: Any) -> str:
        values: dict[str, Any] = {
            "vault_uri": f"https://{VAULT}.vault.azure.net/",
            "settings_secret": "settings",
            "client_id": CLIENT_ID,
            "cloud": CLOUD,
            "service_port": self.port,
        }
        return instance.install_script(**(values | other))

    def install(self, **other: Any) -> None:
        done = self.instance.install(self.script(**other), self.endpoints())
        assert done.returncode == 0, done.stdout + done.stderr

    def put_settings(self) -> None:
        """Write the service settings to the vault, as the program does."""
        self.secrets["settings"] = VaultSecret(
            json.dumps(
                {
                    "version": 1,
                    "fqdn": self.fqdn,
                    "servicePort": self.port,
                    "storage": {
                        "url": f"https://{STORAGE_HOST}/",
                        "container": self.container,
                        "accountId": self.storage_account,
                    },
                    "certificate": {
                        "secretId": f"https://{VAULT}.vault.azure.net/secrets/certificate",
                        "format": self.certificate_format,
                    },
                    "access": self.access,
                    "quotas": self.quotas,
                    "metrics": self.metrics,
                    "logs": self.logs,
                }
            )
        )

    def put_certificate(self, issued: Issued) -> None:
        self.secrets["certificate"] = VaultSecret(issued.bundle)

    def make_container(self) -> None:
        self.blobs().create_container()

    def blobs(self) -> ContainerClient:
        return ContainerClient(
            f"https://localhost:{self.storage.port}/{ACCOUNT}",
            self.container,
            credential=PublisherCredential(self.issuer),
            connection_verify=str(self.ca),
            retry_total=0,
        )

    def publish(self, name: str, content: bytes, kind: str = "application/octet-stream") -> None:
        """Upload a blob with the Azure SDK, as publishers do."""
        self.blobs().upload_blob(
            name, content, overwrite=True, content_settings=ContentSettings(content_type=kind)
        )

    def get_ready(self, **other: Any) -> None:
        """From nothing to a ready instance."""
        self.make_container()
        self.put_settings()
        self.put_certificate(self.authority.issue(self.fqdn))
        self.install(**other)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        until("the instance is ready", lambda: self.page("/readyz").status_code == 200)

    def wake_agent(self) -> None:
        """Have the agent make a pass now, as it does each minute."""
        assert self.instance.systemctl("reload", "clouddp-agent") == 0

    def wait_for_message(self, words: str) -> None:
        """Wait until the journal says something."""
        until(f"the journal says {words!r}", lambda: words in self.messages())

    def agent_does(self, true: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Wake the agent, again and again, until something has come of it."""

        def woken() -> Any:
            self.wake_agent()
            time.sleep(0.3)
            return true()

        until(what, woken, seconds)

    def page(self, path: str) -> httpx.Response:
        """Ask as the balancer's probe does: no name, no check of the certificate."""
        try:
            return httpx.get(f"https://127.0.0.1:{self.port}{path}", verify=False, timeout=30)  # noqa: S501
        except httpx.TransportError:
            return httpx.Response(599)

    def client(self, certificate: tuple[str, str] | None = None, **other: Any) -> httpx.Client:
        """A client of the service, that trusts the authority and asks for the service's name."""
        tls = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            tls.load_cert_chain(*certificate)
        return httpx.Client(
            transport=ConnectTo(self.port, tls, http2=other.pop("http2", False)),
            base_url=f"https://{self.fqdn}:{self.port}",
            timeout=60,
            **other,
        )

    def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for content with a good token."""
        with self.client() as client:
            return client.request(method, path, headers={**bearer(), **headers})

    def messages(self) -> str:
        """What the agent said so far; nginx's own messages are among it."""
        return (self.instance.folder / "var/log/journal/clouddp-agent.log").read_text()


class ConnectTo(httpx.HTTPTransport):
    """Connects to this machine whatever the name, and asks for the name all the same."""

    def __init__(self, port: int, tls: ssl.SSLContext, *, http2: bool) -> None:
        super().__init__(verify=tls, http2=http2)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        request.extensions = {**request.extensions, "sni_hostname": name}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return super().handle_request(request)


def bearer(text: str | None = None) -> dict[str, str]:
    """The header that shows a token, a good one unless another is given."""
    return {"Authorization": f"Bearer {token() if text is None else text}"}


def token(*, key: str = TOKEN_KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A token for clients; claims of None are left out."""
    now = int(time.time())
    values = {"iat": now, "exp": now + 3600} | claims
    kept = {name: value for name, value in values.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)
