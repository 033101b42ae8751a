from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from components.clouds import CLOUDS
from components.dns.lookups import Resolver
from sandbox import certificates, pulumi_cli, samples
from sandbox.dataplane import control
from sandbox.dataplane.network import SERVERS_PORT
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.provider.cloud import Cloud
from sandbox.provider.rules import SUBSCRIPTION
from sandbox.provider.tool import change
from sandbox.terminal import Problem
from tests.instance.sandboxed import Checkout, changed
from tests.instance.world import until

CLOUD = CLOUDS["public"]
VERIFIED = "its SHA-256 is that of what was published"
STRANGER = "99999999-9999-4999-8999-999999999999"
LONG = "long.bin"
# More than all buffers between storage and a client together hold.
LONG_BYTES = 64 * 2**20
# Two passes of an agent, each a minute or so apart, and a command, on a slow machine.
SECONDS_FOR_A_CERTIFICATE = 200
MINUTE = "SECONDS_PER_MINUTE = 60\n"
SITE = "clouddp1q34mna.westeurope.cloudapp.azure.com"
IN_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{{}}/providers/Microsoft.Network/"
RECORD = IN_GROUP.format("contoso-dns") + "dnsZones/contoso.example/CNAME/clouddp1"
BALANCER = IN_GROUP.format("clouddp1") + "loadBalancers/clouddp1-balancer"


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
                self.hurry.wait(0.3)
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
    assert f"content can be downloaded ({samples.LARGE_BYTES} bytes)" in said
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


STAGES = (
    "the container exists",
    "{fqdn} leads to {site}",
    "{site} has the address {address}",
    "{address}:{port} takes connections",
    "{fqdn} serves its certificate",
    "the service says that it is ready",
    "content can be downloaded",
    "all 2 instances serve that certificate",
)


def stages(point: samples.Point) -> list[str]:
    """What each stage says that it looks at, in their order."""
    values = {"fqdn": point.fqdn, "site": SITE, "address": point.address, "port": point.port}
    return [stage.format(**values) for stage in STAGES]


@contextlib.contextmanager
def short_minutes(checkout: Checkout) -> Generator[None]:
    """Let minutes of the wait for Ready be seconds, in this copy of the program."""
    file = checkout.sandbox.root / "components" / "cloud_distribution_point.py"
    original = file.read_text()
    assert MINUTE in original
    file.write_text(original.replace(MINUTE, MINUTE.replace("60", "1")))
    try:
        yield
    finally:
        file.write_text(original)


@contextlib.contextmanager
def turned(checkout: Checkout, resource: str, path: str, value: str, right: str) -> Generator[None]:
    """Have one property of a resource differ for a while, behind the stack's back."""
    azure = Cloud(checkout.room.database)
    change(azure, resource, path, value)
    try:
        yield
    finally:
        change(azure, resource, path, right)


def alias_that_leads_elsewhere(checkout: Checkout) -> contextlib.AbstractContextManager[None]:
    return turned(checkout, RECORD, "cnameRecord.cname", "elsewhere.fabrikam.example", SITE)


@contextlib.contextmanager
def balancer_that_finds_nobody_ready(checkout: Checkout) -> Generator[None]:
    with turned(checkout, BALANCER, "probes.0.requestPath", "/nobody", "/readyz"):
        until("it takes no connections", lambda: not takes_connections(checkout.point()))
        yield


def takes_connections(point: samples.Point) -> bool:
    try:
        socket.create_connection((point.address, point.port), timeout=5).close()
    except OSError:
        return False
    return True


def test_up_shows_each_stage_as_it_passes_and_ends_ready(running: Running) -> None:
    said = running.said
    assert f"(the way is open, and /{samples.DOWNLOADED} is not published yet)" in said
    places = [said.index(f"clouddp1: OK, {stage} (") for stage in stages(running.checkout.point())]
    assert places == sorted(places)
    assert re.search(r'^    status +: "Ready"$', said, re.M)


@pytest.mark.parametrize(
    ("fault", "number", "seen"),
    [
        (alias_that_leads_elsewhere, 1, "{fqdn} → elsewhere.fabrikam.example"),
        (balancer_that_finds_nobody_ready, 3, "Connection refused"),
    ],
)
def test_a_stage_that_does_not_come_true_fails_up_and_the_next_one_ends_ready(
    running: Running,
    fault: Callable[[Checkout], contextlib.AbstractContextManager[None]],
    number: int,
    seen: str,
) -> None:
    checkout, point = running.checkout, running.checkout.point()
    before, (waited, *after) = stages(point)[:number], stages(point)[number:]
    with fault(checkout), short_minutes(checkout):
        said = checkout.make("up", fails=True)
    assert f"error: clouddp1: waited 5 s in vain to see whether {waited}. Expected: " in said
    assert re.search(rf"Seen: .*{re.escape(seen.format(fqdn=point.fqdn))}", said)
    assert f'status               : "Ready" => "Waiting to see whether {waited}"' in said
    assert all(f"clouddp1: OK, {stage} (" in said for stage in before)
    assert not any(f"clouddp1: OK, {stage} (" in said for stage in after)
    assert "Traceback" not in said
    assert changed(said) == set()

    said = checkout.make("up")
    assert changed(said) == set()
    assert f'"Waiting to see whether {waited}" => "Ready"' in said
    assert VERIFIED in said


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
