from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from instance.agent import accounting, capacity, monitor, patience
from sandbox.dataplane.metadata import MetadataService
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.azure_monitor import INGESTION, MANAGER, AzureMonitor
from tests.instance.counting import Agent
from tests.instance.pki import Authority
from tests.instance.world import ACCOUNT, CLIENT_ID, PRINCIPAL, World, free_port


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("Authority of the tests")


@pytest.fixture(scope="session")
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Generator[Storage]:
    folder = tmp_path_factory.mktemp("storage")
    served = authority.issue("*.blob.core.windows.net", "localhost")
    certificate, key = served.files(folder, "server")
    running = Storage(
        folder / "content",
        "127.0.0.1",
        free_port(),
        certificate=Path(certificate),
        key=Path(key),
    )
    running.start([ACCOUNT])
    yield running
    running.stop()


@pytest.fixture(scope="session")
def make_world(
    authority: Authority, storage: Storage, issuer: TokenIssuer
) -> Generator[Callable[[], World]]:
    """Makes worlds; their folders are short, since the paths of socket files have to be."""
    with tempfile.TemporaryDirectory(prefix="clouddp-") as folder:

        def make() -> World:
            world = World(Path(tempfile.mkdtemp(dir=folder)), authority, storage, issuer)
            world.start_servers()
            return world

        yield make


@pytest.fixture
def world(make_world: Callable[[], World]) -> Generator[World]:
    """A world of the test's own; nothing is in its vault, and no instance is installed."""
    world = make_world()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def service(make_world: Callable[[], World]) -> Generator[World]:
    """A ready instance that the tests of one module share, and leave as they found it."""
    world = make_world()
    world.get_ready()
    yield world
    world.stop()


@pytest.fixture(scope="session")
def azure_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue(MANAGER, INGESTION)
    context.load_cert_chain(*issued.files(tmp_path_factory.mktemp("azure"), "azure"))
    return context


@pytest.fixture
def azure(azure_tls: ssl.SSLContext, issuer: TokenIssuer) -> Generator[AzureMonitor]:
    service = AzureMonitor(azure_tls, issuer, PRINCIPAL)
    # In the middle of an hour and of a minute.
    service.now = datetime(2026, 3, 17, 10, 30, 20, tzinfo=UTC).timestamp()
    with service:
        yield service


@pytest.fixture
def agent(
    azure: AzureMonitor,
    issuer: TokenIssuer,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[Agent]:
    metadata = MetadataService("127.0.0.1", issuer=issuer, principal_of={CLIENT_ID: PRINCIPAL}.get)
    (tmp_path / "ca.pem").write_text(authority.pem)
    with metadata:
        agent = Agent(tmp_path, azure, metadata)
        clock = SimpleNamespace(time=lambda: azure.now + agent.clock_ahead)
        monkeypatch.setattr(monitor, "time", clock)
        yield agent


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass for whoever waits for a time to come."""
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    for module in (accounting, capacity, patience):
        monkeypatch.setattr(module, "time", clock)
    return lambda seconds: passed.append(passed.pop() + seconds)
