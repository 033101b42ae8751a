from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from sandbox import certificates, no_names, pulumi_cli
from tests.engine.program import SandboxedProgram, lay_out


@pytest.fixture(scope="session")
def engine() -> Path:
    """Return the folder that holds the engine, the one that `make up` uses."""
    return pulumi_cli.ensure(Path(sys.executable))


@pytest.fixture(scope="session")
def nameserver() -> Generator[str]:
    """Offer a DNS server for which every name is free."""
    with no_names.served() as address:
        yield address


@pytest.fixture(scope="session")
def prepared(
    engine: Path, nameserver: str, tmp_path_factory: pytest.TempPathFactory
) -> SandboxedProgram:
    """Return a program whose sandbox is ready and empty, for the tests to copy."""
    folder = tmp_path_factory.mktemp("program")
    program = lay_out(folder, engine, Path(sys.executable), nameserver)
    program.sandbox.prepare()
    certificates.ensure(program.sandbox.certificates)
    return program


@pytest.fixture
def sandbox(prepared: SandboxedProgram, tmp_path: Path) -> SandboxedProgram:
    """Return a program of the test's own: fresh home, backend, database and settings."""
    return prepared.copied(tmp_path / "program")
