from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from components.clouds import CLOUDS
from components.dns import Resolver
from sandbox import certificates, pulumi_cli, samples
from sandbox.dataplane import control
from sandbox.dataplane.network import SERVERS_PORT
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.terminal import Problem
from tests.instance.sandboxed import Checkout, changed
from tests.instance.world import until

CLOUD = CLOUDS["public"]
VERIFIED = "its SHA-256 is that of what was published"
STRANGER = "99999999-9999-4999-8999-999999999999"
LONG = "long.bin"
# More than all buffers between storage and a client together hold.
LONG_BYTES = 64 * 2**20
SECONDS_FOR_A_CERTIFICATE = 90


@dataclasses.dataclass(frozen=True)
class Running:
    checkout: Checkout
    said: str
    """What the first `make up` said."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    engine = pulumi_cli.ensure(Path(sys.executable))
    checkout = Checkout.copy(tmp_path_factory.mktemp("checkout"), engine)
    try:
        yield Running(checkout, checkout.make("up"))
    finally:
        control.stop(checkout.sandbox)


def token(point: samples.Point, **claims: object) -> str:
    now = int(time.time())
    values = {"iat": now, "exp": now + 600} | claims
    return jwt.encode(values, point.token_keys[0], algorithm="HS256")


class SlowDownload(threading.Thread):
    """Takes its time until it is told to hurry."""

    def __init__(self, checkout: Checkout, path: str) -> None:
        super().__init__(daemon=True)
        self.hurry = threading.Event()
        self.digest = hashlib.sha256()
        self.received = 0
        self.error: Exception | None = None
        point = checkout.point()
        self._reply = checkout.session().get(
            f"https://{point.fqdn}:{point.port}/{path}",
            headers={"Authorization": f"Bearer {token(point)}"},
            stream=True,
            timeout=60,
        )
        self._reply.raise_for_status()

    def run(self) -> None:
        try:
            for chunk in self._reply.iter_content(65536):
                self.digest.update(chunk)
                self.received += len(chunk)
                self.hurry.wait(0.15)
        except requests.RequestException as error:
            self.error = error


def test_up_ends_with_a_download_through_the_service_that_is_what_was_published(
    running: Running,
) -> None:
    point = running.checkout.point()
    said = running.said
    assert f"https://{point.fqdn}:{point.port}/{samples.DOWNLOADED}" in said
    assert VERIFIED in said
    assert point.address.startswith("127.")


def test_up_again_changes_nothing_and_downloads_again(running: Running) -> None:
    supervisor = running.checkout.supervisor()
    said = running.checkout.make("up")
    assert changed(said) == set()
    assert "unchanged" in said
    assert "Published" not in said
    assert VERIFIED in said
    assert running.checkout.supervisor() == supervisor


def test_names_lead_through_a_real_dns_server_to_where_the_service_listens(
    running: Running,
) -> None:
    point = running.checkout.point()
    resolver = Resolver([control.nameserver(running.checkout.sandbox)])
    chain = resolver.trace(point.fqdn)
    assert chain.names[0] == point.fqdn
    assert chain.names[1].endswith(".westeurope.cloudapp.azure.com")
    assert chain.addresses == (point.address,)
    storage = str(urlsplit(point.content_url).hostname)
    assert resolver.trace(storage).addresses == (running.checkout.network.storage,)
    assert not resolver.trace(f"not-{storage}").exists


def test_env_tells_other_clients_where_everything_is(running: Running) -> None:
    checkout = running.checkout
    lines = dict(
        line.removeprefix("export ").split("=", 1)
        for line in checkout.make("env").splitlines()
        if line.startswith("export ")
    )
    assert lines["CLOUDDP_CONNECT"] == checkout.point().connect
    assert lines["CLOUDDP_NAMESERVERS"] == control.nameserver(checkout.sandbox)
    assert (Path(lines["CLOUDDP_CONTENT"]) / samples.DOWNLOADED).exists()
    x509.load_pem_x509_certificate(Path(lines["CLOUDDP_CA"]).read_bytes())


def test_every_sample_can_be_had_by_its_name(running: Running) -> None:
    checkout, point = running.checkout, running.checkout.point()
    base = f"https://{point.fqdn}:{point.port}"
    for name, text in samples.TEXTS.items():
        reply = checkout.session().get(
            f"{base}/{name}", headers={"Authorization": f"Bearer {token(point)}"}, timeout=30
        )
        assert (reply.status_code, reply.content.decode()) == (200, text)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (lambda point: None, 401),
        (lambda point: token(point, iat=1_000_000, exp=1_000_600), 403),
        (lambda point: token(dataclasses.replace(point, token_keys=("x" * 32,))), 403),
    ],
    ids=["none", "expired", "foreign"],
)
def test_content_is_refused_without_a_good_token(
    running: Running, sent: object, status: int
) -> None:
    assert callable(sent)
    point = running.checkout.point()
    given = sent(point)
    reply = running.checkout.session().get(
        f"https://{point.fqdn}:{point.port}/{samples.DOWNLOADED}",
        headers={"Authorization": f"Bearer {given}"} if given else {},
        timeout=30,
    )
    assert reply.status_code == status
    assert len(reply.content) < 1000


def test_nobody_publishes_without_a_role(running: Running) -> None:
    stranger = dataclasses.replace(running.checkout.point(), publisher=STRANGER)
    with pytest.raises(Problem, match="could not be published"):
        running.checkout.publish(stranger)


def test_a_vault_gives_its_secrets_to_those_with_a_role_only(running: Running) -> None:
    checkout = running.checkout
    desired = checkout.desired()
    (vault,) = desired.vaults
    (service,) = next(iter(desired.sets.values())).principals.values()
    issuer = TokenIssuer(checkout.room.token_key.read_text())
    with checkout.session() as session:
        session.verify = str(checkout.room.authority)
        statuses = [
            session.get(
                f"https://{vault}:{SERVERS_PORT}/secrets/settings?api-version=7.4",
                headers={"Authorization": f"Bearer {issuer.token(who, CLOUD.vault_audience)}"},
                timeout=30,
            ).status_code
            for who in (service, STRANGER)
        ]
    assert statuses == [200, 403]


def test_a_renewed_certificate_is_served_soon_and_a_download_runs_on(running: Running) -> None:
    checkout = running.checkout
    before = checkout.served_certificate()
    content = os.urandom(LONG_BYTES)
    (checkout.content / LONG).write_bytes(content)
    checkout.publish(checkout.point())
    download = SlowDownload(checkout, LONG)
    download.start()

    pfx, authority = certificates.make(certificates.FQDN, certificates.PASSWORD)
    (checkout.sandbox.certificates / certificates.PFX).write_bytes(pfx)
    checkout.authority.write_bytes(authority)
    leaf = pkcs12.load_pkcs12(pfx, certificates.PASSWORD.encode()).cert
    assert leaf
    renewed = leaf.certificate.public_bytes(Encoding.DER)
    assert renewed != before
    begun = time.monotonic()
    said = checkout.make("up")
    until(
        "the new certificate is served",
        lambda: all(checkout.served_certificate() == renewed for _ in range(16)),
        SECONDS_FOR_A_CERTIFICATE,
    )
    assert time.monotonic() - begun < SECONDS_FOR_A_CERTIFICATE
    assert changed(said) == {"clouddp1-certificate-certificate"}
    assert VERIFIED in said

    assert download.is_alive()
    assert download.received < LONG_BYTES
    download.hurry.set()
    download.join(60)
    assert download.error is None
    assert download.digest.digest() == hashlib.sha256(content).digest()


def test_nothing_outlives_a_killed_supervisor_and_up_starts_it_again(running: Running) -> None:
    checkout = running.checkout
    supervisor = checkout.supervisor()
    assert len(checkout.processes()) > 10
    os.kill(supervisor, signal.SIGKILL)
    until("its processes have ended", lambda: not checkout.processes())
    said = checkout.make("up")
    assert changed(said) == set()
    assert VERIFIED in said
    assert checkout.supervisor() != supervisor


def test_down_leaves_no_process(running: Running) -> None:
    checkout = running.checkout
    checkout.make("down")
    assert checkout.processes() == {}
    assert not (checkout.sandbox.state / "instances").exists()
