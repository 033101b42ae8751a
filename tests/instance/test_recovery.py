"""What an instance makes of a state that nobody wanted: killed halfway, damaged, cut off."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from instance.agent.keeper import Keeper
from instance.agent.places import Places
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.vault import VaultSecret, VaultService
from tests.instance.pki import Authority
from tests.instance.world import (
    ACCOUNT,
    CLOUD,
    PRINCIPAL,
    STORAGE_HOST,
    VAULT,
    World,
    free_port,
    until,
)

CONTENT = os.urandom(100_000)


@pytest.fixture
def served(world: World) -> World:
    """A ready service with one file cached."""
    world.get_ready()
    world.publish("cached.bin", CONTENT)
    assert world.get("/cached.bin").content == CONTENT
    return world


@pytest.fixture
def keeper(served: World, monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[], Keeper]]:
    """Makes agents of the instance in this process; its own one is stopped."""
    assert served.instance.systemctl("stop", "clouddp-agent") == 0
    with ExitStack() as after:
        for name, value in served.instance.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda: Keeper(Places(served.instance.folder, "root"))
        after.close()


def state(world: World) -> Path:
    return world.instance.folder / "var/lib/clouddp"


def serial(world: World) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", world.port), timeout=10)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_storage_whose_name_does_not_resolve_takes_nothing_off_the_air(
    served: World, keeper: Callable[[], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_to_all = socket.getaddrinfo

    def unknown(host: str, *more: Any, **others: Any) -> Any:
        if host == STORAGE_HOST:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return known_to_all(host, *more, **others)

    endpoints = served.instance.folder / "etc/clouddp/endpoints.json"
    known = json.loads(endpoints.read_text())
    del known["connect"][".blob.core.windows.net"]
    endpoints.write_text(json.dumps(known))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    agent = keeper()
    agent.prepare()
    agent.work()
    assert served.instance.systemctl("reload", "clouddp-nginx") == 0
    assert served.page("/readyz").status_code == 200
    assert served.get("/cached.bin").content == CONTENT


@pytest.mark.parametrize("file", ["settings.json", "tls.pem", "usage.json", "usage-hours.json"])
def test_a_file_of_the_agent_that_is_damaged_is_made_anew(served: World, file: str) -> None:
    (state(served) / file).write_bytes(b"\xff\xfe\x00 damaged")
    assert served.instance.systemctl("restart", "clouddp-agent") == 0
    served.agent_does(
        lambda: b"damaged" not in (state(served) / file).read_bytes() or "usage" in file,
        "the agent writes it again",
    )
    assert "Traceback" not in served.messages()
    assert served.get("/cached.bin").content == CONTENT
    (state(served) / file).write_bytes(b"\xff\xfe\x00 damaged")
    served.install()
    served.wait_until_ready()


def test_an_agent_that_dies_before_nginx_was_told_is_made_up_for(
    served: World, keeper: Callable[[], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = served.authority.issue(served.fqdn)
    served.put_certificate(renewed)
    agent = keeper()

    def die() -> None:
        raise SystemExit

    monkeypatch.setattr(agent._nginx, "_reload", die)
    with pytest.raises(SystemExit):
        agent.work()
    assert serial(served) != renewed.certificate.serial_number
    assert served.instance.systemctl("start", "clouddp-agent") == 0
    until("it is served", lambda: serial(served) == renewed.certificate.serial_number)


def test_a_configuration_that_is_lost_is_laid_again(served: World) -> None:
    shutil.rmtree(state(served) / "versions")
    served.agent_does(
        lambda: list(state(served).glob("versions/*/nginx.conf")), "it is there again"
    )
    assert served.instance.systemctl("restart", "clouddp-nginx") == 0
    served.wait_until_ready()  # systemd calls nginx started before it listens
    assert served.get("/cached.bin").content == CONTENT


def test_a_test_that_fails_by_chance_does_not_take_the_live_configuration_away(
    served: World, keeper: Callable[[], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = keeper()
    agent.work()
    monkeypatch.setattr(agent._nginx, "running", lambda: "")
    monkeypatch.setenv("PATH", f"{failing_nginx(served.folder)}{os.pathsep}{os.environ['PATH']}")
    agent.work()
    assert (state(served) / "live/nginx.conf").exists()
    assert served.get("/cached.bin").content == CONTENT


def failing_nginx(folder: Path) -> Path:
    (folder / "broken").mkdir()
    nginx = folder / "broken/nginx"
    nginx.write_text("#!/bin/sh\necho '[emerg] no memory' >&2\nexit 1\n")
    nginx.chmod(0o755)
    return nginx.parent


@pytest.mark.parametrize("url", ["https://[x/", "https://h:bad/", "https://h:444/", "http://h/"])
def test_an_address_of_storage_that_is_none_is_one_sentence(served: World, url: str) -> None:
    settings = json.loads(served.secrets["settings"].value)
    settings["storage"]["url"] = url
    served.secrets["settings"] = VaultSecret(json.dumps(settings))
    served.wake_agent()
    served.wait_for_message("The service settings' storage.url is not a plain https URL.")
    assert "Traceback" not in served.messages()
    assert served.get("/cached.bin").content == CONTENT


def test_an_agent_that_runs_does_not_call_a_new_payload_ready(served: World) -> None:
    served.roles.clear()
    done = threading.Event()

    def wake() -> None:
        while not done.wait(0.05):
            served.instance.systemctl("reload", "clouddp-agent")

    waking = threading.Thread(target=wake)
    waking.start()
    try:
        served.install()
    finally:
        done.set()
        waking.join()
    assert served.page("/readyz").status_code == 503
    served.roles.add(PRINCIPAL)
    served.wait_until_ready()


def test_the_cache_keeps_to_its_size_and_goes_on_serving(world: World) -> None:
    limit = world.cache_bytes = 20 * 10**6
    world.get_ready()
    files = [os.urandom(8 * 10**6) for _ in range(6)]
    for number, content in enumerate(files):
        world.publish(f"{number}.bin", content)
        assert world.get(f"/{number}.bin").content == content
    kept = world.instance.folder / "var/cache/clouddp/content"
    until("what is too much goes", lambda: size(kept) <= limit)
    assert size(kept) > limit / 2
    for number, content in enumerate(files):
        assert world.get(f"/{number}.bin").content == content


def size(folder: Path) -> int:
    sizes = []
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it goes while it is looked at
            sizes.append(file.stat().st_size if file.is_file() else 0)
    return sum(sizes)


@pytest.fixture
def stranger(world: World) -> tuple[str, str]:
    """Certificate and key for storage and vault, of an authority that nobody trusts."""
    names = ("*.blob.core.windows.net", "*.vault.azure.net")
    return Authority("Somebody").issue(*names).files(world.folder / "stranger", "server")


def install(world: World) -> None:
    world.make_container()
    world.put_settings()
    world.put_certificate(world.authority.issue(world.fqdn))
    world.install()


def test_whoever_only_calls_himself_storage_gets_no_token(
    world: World, stranger: tuple[str, str]
) -> None:
    certificate, key = map(Path, stranger)
    folder = world.folder / "impostor"
    impostor = Storage(folder, "127.0.0.1", free_port(), certificate=certificate, key=key)
    impostor.start([ACCOUNT])
    try:
        world.connect[".blob.core.windows.net"] = impostor.address
        install(world)
        world.wait_for_message("The content container answers with status 502")
        assert impostor.requests() == []
        assert world.page("/readyz").status_code == 503
    finally:
        impostor.stop()


def test_whoever_only_calls_himself_the_vault_gets_no_token(
    world: World, issuer: TokenIssuer, stranger: tuple[str, str]
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*stranger)
    asked: list[str] = []
    impostor = VaultService(
        "127.0.0.1",
        tls=tls,
        issuer=issuer,
        audience=CLOUD.vault_audience,
        secret=lambda _, name: asked.append(name),
        admits=lambda *_: True,
    )
    with impostor:
        world.connect[".vault.azure.net"] = impostor.address
        install(world)
        world.wait_for_message(f"{VAULT}.vault.azure.net cannot be reached: ")
        assert asked == []
        assert world.page("/readyz").status_code == 503
