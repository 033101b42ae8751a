from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.pki import Authority
from tests.instance.world import ACCOUNT, World, free_port


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
