from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from sandbox import certificates, pulumi_cli
from tests.engine.program import SandboxedProgram, lay_out


@pytest.fixture(scope="session")
def engine() -> Path:
    """Return the folder that holds the engine, the one that `make up` uses."""
    return pulumi_cli.ensure(Path(sys.executable))


@pytest.fixture(scope="session")
def prepared(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> SandboxedProgram:
    """Return a program whose sandbox is ready and empty, for the tests to copy."""
    program = lay_out(tmp_path_factory.mktemp("program"), engine, Path(sys.executable))
    program.sandbox.prepare()
    certificates.ensure(program.sandbox.certificates)
    return program


@pytest.fixture
def sandbox(prepared: SandboxedProgram, tmp_path: Path) -> SandboxedProgram:
    """Return a program of the test's own: fresh home, backend, database and settings."""
    root = tmp_path / "program"
    shutil.copytree(prepared.root, root, symlinks=True)
    original = prepared.sandbox
    return SandboxedProgram(type(original)(root, original.engine, original.python))
