from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from sandbox.dataplane.server import Answer
from sandbox.dataplane.vault import VaultSecret
from tests.instance.pki import Authority
from tests.instance.test_serving import as_much_as_comes
from tests.instance.world import PRINCIPAL, World, bearer, until

SLICE = 8 * 2**20
CONTENT = os.urandom(3 * SLICE)
REFUSED = Answer(403, {"error": {"code": "Forbidden"}})


@pytest.fixture(scope="module")
def steady(make_world: Callable[[], World]) -> Generator[World]:
    """A ready service with one file cached; each test leaves it well."""
    world = make_world()
    world.get_ready()
    world.publish("cached.bin", CONTENT)
    assert world.get("/cached.bin").content == CONTENT
    yield world
    world.stop()


@pytest.fixture
def tried(steady: World) -> Generator[World]:
    yield steady
    steady.relay.refuse = steady.relay.hold = False
    steady.relay.delay = 0.0
    steady.vault.fault = steady.metadata.fault = None
    steady.vault.delay = 0.0
    steady.metadata.lie_seconds = None
    steady.agent_does(lambda: steady.get("/cached.bin").status_code == 200, "all is well again")


def settle(world: World) -> None:
    """Make it as if the machine had started long ago."""
    started = world.instance.folder / "run/clouddp/started"
    os.utime(started, (time.time() - 3600, time.time() - 3600))


def passes(world: World, count: int = 2) -> None:
    """Let the agent make some passes."""
    alive = world.instance.folder / "run/clouddp/alive"
    for _ in range(count):
        before = alive.stat().st_mtime_ns
        world.wake_agent()
        until("a pass begins", lambda before=before: alive.stat().st_mtime_ns > before)
        time.sleep(0.3)


def served_certificate(world: World) -> int:
    """Serial number of the certificate that is served."""
    pem = ssl.get_server_certificate(("127.0.0.1", world.port), timeout=10)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_while_storage_is_down_what_is_cached_is_served(tried: World) -> None:
    tried.relay.refuse = True
    tried.relay.cut()
    time.sleep(9)  # longer than an answer of the gate or of storage is kept
    assert tried.get("/cached.bin").content == CONTENT
    assert tried.get("/cached.bin", Range="bytes=-7").content == CONTENT[-7:]
    other = tried.get("/not-cached.bin")
    assert other.status_code == 503
    assert int(other.headers["retry-after"]) > 0
    tried.relay.refuse = False
    until("it is found missing again", lambda: tried.get("/not-cached.bin").status_code == 404)


def test_while_storage_hangs_what_is_cached_is_served_after_seconds(tried: World) -> None:
    tried.relay.hold = True
    time.sleep(9)
    sent = bearer()
    with tried.client() as client:
        begun = time.monotonic()
        assert client.get("/cached.bin", headers=sent).content == CONTENT
        assert time.monotonic() - begun < 15
        # The next requests do not wait again: five waits would be 20 seconds.
        begun = time.monotonic()
        for _ in range(5):
            reply = client.get("/cached.bin", headers={**sent, "Range": "bytes=0-0"})
            assert reply.status_code == 206
        assert time.monotonic() - begun < 10
    other = tried.get("/never-seen.bin")
    assert (other.status_code, "retry-after" in other.headers) == (503, True)


def test_slow_storage_makes_downloads_slow_and_nothing_else(tried: World) -> None:
    tried.publish("slow.bin", CONTENT)
    tried.relay.delay = 0.02
    assert tried.get("/slow.bin").content == CONTENT


def test_a_download_that_breaks_off_never_holds_anything_but_content(tried: World) -> None:
    tried.publish("broken.bin", CONTENT)
    assert tried.get("/broken.bin", Range=f"bytes=0-{SLICE - 1}").content == CONTENT[:SLICE]
    time.sleep(0.5)  # the first slice is cached now, and no other
    tried.relay.refuse = True
    tried.relay.cut()
    received = as_much_as_comes(tried, "/broken.bin")
    assert received == CONTENT[: len(received)]
    assert SLICE // 2 < len(received) < len(CONTENT)
    tried.relay.refuse = False
    rest = until(
        "the download goes on where it broke off",
        lambda: (
            (reply := tried.get("/broken.bin", Range=f"bytes={len(received)}-")).status_code == 206
            and reply.content
        ),
    )
    assert received + rest == CONTENT


def test_with_an_expired_storage_token_cached_content_is_served_until_a_new_one_comes(
    tried: World,
) -> None:
    tried.metadata.lie_seconds = -60
    # The agent takes it for good until storage refuses it; then it asks for another each pass.
    assert tried.instance.systemctl("restart", "clouddp-agent") == 0
    tried.wait_for_message("Storage does not admit this instance")
    time.sleep(9)
    assert tried.get("/cached.bin").content == CONTENT
    other = tried.get("/not-there.bin")
    assert (other.status_code, "retry-after" in other.headers) == (503, True)
    assert "www-authenticate" not in other.headers
    tried.metadata.lie_seconds = None
    tried.agent_does(
        lambda: tried.get("/not-there.bin").status_code == 404, "storage admits the service again"
    )


@pytest.mark.parametrize(
    "fault",
    [
        Answer(429, {}, {"Retry-After": "1"}),
        Answer(500, {}),
        Answer(410, {}),
        Answer(200, {"access_token": "no times"}),
    ],
)
def test_a_metadata_service_that_fails_changes_nothing_for_clients(
    tried: World, fault: Answer
) -> None:
    tried.metadata.fault = fault
    passes(tried)
    tried.publish("new.bin", b"new")
    assert tried.get("/new.bin").content == b"new"
    # A new agent has no tokens: what is served stays, and it says what it lacks.
    assert tried.instance.systemctl("restart", "clouddp-agent") == 0
    tried.wait_for_message("The metadata service")
    assert tried.get("/new.bin").content == b"new"
    assert tried.page("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (REFUSED, "does not admit this instance yet"),
        (Answer(429, {}, {"Retry-After": "1"}), "has too many requests"),
        (Answer(500, {}), "answers with status 500"),
        (Answer(200, {"nothing": "of use"}), "cannot be read"),
    ],
)
def test_a_vault_that_fails_changes_nothing_for_clients(
    tried: World, fault: Answer, words: str
) -> None:
    tried.vault.fault = fault
    tried.wake_agent()
    tried.wait_for_message(words)
    assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206
    assert tried.page("/readyz").status_code == 200
    tried.vault.fault = None
    before = tried.messages().count("works again")
    tried.agent_does(lambda: tried.messages().count("works again") > before, "it works again")


def test_a_vault_that_hangs_delays_no_client(tried: World) -> None:
    tried.vault.delay = 8
    tried.wake_agent()
    begun = time.monotonic()
    assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206
    assert time.monotonic() - begun < 6


def bad_certificates(world: World) -> dict[str, tuple[str, str]]:
    good = world.authority.issue(world.fqdn)
    other = world.authority.issue(world.fqdn)
    return {
        "garbage": ("nothing like a certificate", "is not one key and its certificates"),
        "empty": ("", "is not one key and its certificates"),
        "cut": (good.bundle[: len(good.bundle) * 2 // 3], "is not one key and its certificates"),
        "spoilt": (good.bundle.replace("\nMII", "\nMIIA"), "openssl"),
        "another key": (other.key_pem + good.pem, "belongs to none of the certificates"),
        "expired": (world.authority.issue(world.fqdn, days=-1).bundle, "is valid from"),
        "another name": (world.authority.issue("other.example").bundle, "is not for"),
    }


def test_a_bad_certificate_in_the_vault_leaves_the_good_one_in_force(tried: World) -> None:
    good = tried.secrets["certificate"]
    serial = served_certificate(tried)
    for kind, (value, words) in bad_certificates(tried).items():
        tried.secrets["certificate"] = VaultSecret(value)
        tried.agent_does(lambda words=words: words in tried.messages(), f"{kind} is spoken of")
        assert served_certificate(tried) == serial, kind
        assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206
    assert "PRIVATE KEY" not in tried.messages()
    tried.secrets["certificate"] = good


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "not json",
        '{"version": 2}',
        '{"version": 1, "fqdn": "x"}',
    ],
)
def test_bad_settings_in_the_vault_leave_the_good_ones_in_force(tried: World, text: str) -> None:
    good = tried.secrets["settings"]
    said = len(tried.messages())
    tried.secrets["settings"] = VaultSecret(text)
    tried.agent_does(
        lambda: "The service settings" in tried.messages()[said:], "the agent says what is wrong"
    )
    assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206
    tried.secrets["settings"] = good
    tried.agent_does(
        lambda: "settings: works again" in tried.messages()[said:], "the settings are read again"
    )


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("container", "a}; include /etc/passwd; #"),
        ("container", "../other"),
        ("container", ""),
        ("fqdn", "a b"),
    ],
)
def test_settings_cannot_say_anything_else_to_nginx(tried: World, part: str, value: str) -> None:
    good, kept = tried.secrets["settings"], getattr(tried, part)
    setattr(tried, part, value)
    said = len(tried.messages())
    tried.put_settings()
    tried.agent_does(lambda: "is not a name" in tried.messages()[said:], "the name is refused")
    setattr(tried, part, kept)
    tried.secrets["settings"] = good
    tried.agent_does(
        lambda: "settings: works again" in tried.messages()[said:], "the settings are read again"
    )


def test_a_new_certificate_is_served_and_no_download_is_dropped(tried: World) -> None:
    serial = served_certificate(tried)
    half, go_on = threading.Event(), threading.Event()

    def download() -> bytes:
        received = b""
        sent = bearer()
        with tried.client() as client, client.stream("GET", "/cached.bin", headers=sent) as reply:
            for chunk in reply.iter_raw(65536):
                received += chunk
                if len(received) > len(CONTENT) // 8 and not half.is_set():
                    half.set()
                    assert go_on.wait(30)
        return received

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(download)
        assert half.wait(30)
        tried.put_certificate(tried.authority.issue(tried.fqdn))
        tried.agent_does(lambda: served_certificate(tried) != serial, "the new one is served")
        go_on.set()
        assert running.result(60) == CONTENT


def test_health_depends_on_nothing_but_nginx_and_agent(tried: World) -> None:
    settle(tried)
    assert tried.instance.systemctl("stop", "clouddp-agent") == 0
    (tried.instance.folder / "run/clouddp/ready").unlink()
    tried.relay.refuse = True
    tried.relay.cut()
    tried.vault.fault = REFUSED
    tried.metadata.fault = Answer(500, {})
    assert tried.instance.systemctl("start", "clouddp-agent") == 0
    passes(tried)
    reply = tried.page("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"ApplicationHealthState": "Healthy"})
    assert tried.page("/readyz").status_code == 503
    tried.relay.refuse = False
    tried.vault.fault = tried.metadata.fault = None
    tried.agent_does(lambda: tried.page("/readyz").status_code == 200, "it is ready again")


def test_a_ready_service_stays_ready_when_storage_goes(tried: World) -> None:
    tried.relay.refuse = True
    tried.relay.cut()
    passes(tried)
    assert tried.page("/readyz").status_code == 200


def test_without_its_agent_an_instance_is_soon_unhealthy(tried: World) -> None:
    assert tried.instance.systemctl("stop", "clouddp-agent") == 0
    assert tried.page("/healthz").status_code == 200
    alive = tried.instance.folder / "run/clouddp/alive"
    os.utime(alive, (time.time() - 400, time.time() - 400))
    reply = tried.page("/healthz")
    assert (reply.status_code, reply.json()) == (503, {"ApplicationHealthState": "Unhealthy"})
    assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206
    assert tried.instance.systemctl("start", "clouddp-agent") == 0
    until("it is healthy again", lambda: tried.page("/healthz").status_code == 200)


@pytest.mark.parametrize("unit", ["clouddp-nginx", "clouddp-agent"])
def test_a_killed_service_comes_back(tried: World, unit: str) -> None:
    main = tried.instance.folder / "run/systemctl" / f"{unit}.main"
    before = main.read_text()
    os.kill(int(before), 9)
    until("it has started again", lambda: main.read_text() != before)
    until("it serves", lambda: tried.page("/healthz").status_code == 200)
    passes(tried)
    assert tried.get("/cached.bin", Range="bytes=0-0").status_code == 206


def test_the_agent_asks_for_tokens_once_and_not_for_each_pass(tried: World) -> None:
    passes(tried, 1)
    before = tried.metadata.asked
    passes(tried, 4)
    assert tried.metadata.asked == before


def test_after_a_restart_of_the_machine_the_last_good_serves_though_the_vault_is_away(
    tried: World,
) -> None:
    serial = served_certificate(tried)
    tried.instance.stop()
    for left in (tried.instance.folder / "run/clouddp").iterdir():
        if not left.is_dir():
            left.unlink()
    tried.vault.fault = REFUSED
    for unit in ("clouddp-nginx", "clouddp-agent"):
        assert tried.instance.systemctl("start", unit) == 0
    until("it listens", lambda: tried.page("/healthz").status_code != 599)
    until("content is served", lambda: tried.get("/cached.bin").status_code == 200)
    assert served_certificate(tried) == serial
    assert tried.page("/readyz").status_code == 503
    tried.vault.fault = None
    tried.agent_does(lambda: tried.page("/readyz").status_code == 200, "it is ready")


def test_a_new_service_waits_with_a_certificate_of_its_own_and_gets_ready_by_itself(
    world: World,
) -> None:
    world.roles.clear()
    world.make_container()
    world.put_settings()
    world.put_certificate(world.authority.issue(world.fqdn))
    world.install()
    first = served_certificate(world)
    reply = world.page("/apps/setup.bin")
    assert (reply.status_code, "retry-after" in reply.headers) == (503, True)
    assert world.page("/readyz").status_code == 503
    # Within the first minutes alive means ready, so that a roll waits.
    assert world.page("/healthz").status_code == 503
    settle(world)
    assert world.page("/healthz").status_code == 200
    world.wait_for_message("does not admit this instance yet")
    world.roles.add(PRINCIPAL)
    world.wait_until_ready()
    assert served_certificate(world) != first


def test_a_certificate_of_key_vaults_own_is_served_without_its_root(world: World) -> None:
    below = Authority("Issuer of servers", world.authority)
    issued = below.issue(world.fqdn, with_root=True)
    world.make_container()
    world.certificate_format = "pkcs12"
    world.put_settings()
    world.secrets["certificate"] = VaultSecret(
        base64.b64encode(issued.pkcs12).decode(), "application/x-pkcs12"
    )
    world.install()
    world.wait_until_ready()
    assert world.get("/nothing").status_code == 404  # the chain leads to the root
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{world.port}", "-showcerts"]
    shown = subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout
    assert shown.count("BEGIN CERTIFICATE") == 2
