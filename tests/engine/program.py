"""The program in a sandbox of its own, driven through the real engine."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.home import STACK, Sandbox
from sandbox.requirements import ROOT

COPIED = ("Pulumi.yaml", f"Pulumi.{STACK}.yaml", "__main__.py")
LINKED = ("components", "instance")
# No command of these tests takes longer, on any machine; one that hangs is to fail its own test.
LIMIT_SECONDS = 240


@dataclass(frozen=True)
class SandboxedProgram:
    """A copy of the program, its state and its Azure in one folder.

    Attributes:
        sandbox: The folder, the engine and the interpreter.
        nameserver: Whom the program asks for names, as `host:port`.
    """

    sandbox: Sandbox
    nameserver: str

    @property
    def root(self) -> Path:
        """The folder of this copy's `Pulumi.yaml`."""
        return self.sandbox.root

    def copied(self, root: Path) -> SandboxedProgram:
        """Return a copy in another folder, with a state and an Azure of its own."""
        shutil.copytree(self.root, root, symlinks=True)
        sandbox = Sandbox(root, self.sandbox.engine, self.sandbox.python)
        return SandboxedProgram(sandbox, self.nameserver)

    def environment(self) -> dict[str, str]:
        """Return the environment that `pulumi` runs with."""
        return {**self.sandbox.environment(), "CLOUDDP_NAMESERVERS": self.nameserver}

    def pulumi(
        self, *arguments: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a `pulumi` command on the stack.

        Args:
            *arguments: The command and its options, without the stack's name.
            check: Whether the test fails when the command does.
            **variables: Environment variables on top of the sandbox's own.
        """
        options = ("--stack", STACK, "--non-interactive", "--color=never")
        done = subprocess.run(
            [self.sandbox.engine / "pulumi", arguments[0], *options, *arguments[1:]],
            cwd=self.root,
            env={**self.environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def up(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Deploy."""
        return self.pulumi("up", "--yes", "--skip-preview", *options, check=check)

    def destroy(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Destroy."""
        return self.pulumi("destroy", "--yes", "--skip-preview", *options, check=check)

    def refresh(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Read what is really there."""
        return self.pulumi("refresh", "--yes", "--skip-preview", *options, check=check)

    def preview(self, *options: str) -> dict[str, Any]:
        """Return what a preview says, as the engine's JSON: `steps`, `changeSummary`, ..."""
        return json.loads(self.pulumi("preview", "--json", *options).stdout)

    def changes(self, *options: str) -> dict[str, int]:
        """Return how many resources a preview would touch, by operation; empty when none."""
        summary = self.preview(*options)["changeSummary"]
        return {operation: count for operation, count in summary.items() if operation != "same"}

    def config(self, key: str, value: Any, *, secret: bool = False) -> None:
        """Set a setting of the program.

        Args:
            key: Such as `region`, or `certificate.pfxFile` for a key inside an object.
            value: Any JSON value; for a secret, a text.
            secret: Whether the engine is to encrypt it.
        """
        if secret:
            path = ("--path", "--secret", f"clouddp:{key}", "--", value)
            self.pulumi("config", "set", *path)
            return
        *outer, last = f"clouddp:{key}".split(".")
        with self._stack_file() as settings:
            place = functools.reduce(
                lambda inner, name: inner.setdefault(name, {}), outer, settings
            )
            place[last] = value

    def unset(self, key: str) -> None:
        """Take a setting out of the stack file, if it is there."""
        *outer, last = f"clouddp:{key}".split(".")
        with self._stack_file() as place:
            functools.reduce(lambda at, name: at.get(name, {}), outer, place).pop(last, None)

    @contextlib.contextmanager
    def _stack_file(self) -> Generator[dict[str, Any]]:
        """Offer the settings of the stack file for a change."""
        path = self.root / f"Pulumi.{STACK}.yaml"
        content = yaml.safe_load(path.read_text())
        yield content["config"]
        path.write_text(yaml.safe_dump(content))

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets hidden as on the screen."""
        return json.loads(self.pulumi("stack", "output", "--json").stdout)

    def export(self) -> dict[str, Any]:
        """Return the state as it is kept: secrets are encrypted in it."""
        return json.loads(self.pulumi("stack", "export").stdout)

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources that the state knows."""
        return self.export()["deployment"].get("resources", [])


def lay_out(root: Path, engine: Path, python: Path, nameserver: str) -> SandboxedProgram:
    """Put a copy of the program into an empty folder; its code is linked, its settings copied."""
    for name in COPIED:
        shutil.copyfile(ROOT / name, root / name)
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    (root / ".venv").symlink_to(python.parent.parent)
    program = SandboxedProgram(Sandbox(root=root, engine=engine, python=python), nameserver)
    # There is no data plane, so nothing would ever be ready.
    program.config("readinessTimeoutMinutes", 0)
    return program
