"""One sandbox: its folder beside the program, and the environment that `pulumi` has in it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sandbox import cache, requirements
from sandbox.terminal import Problem

STACK = "dev"
STATE = ".sandbox"
DATABASE = "azure.db"
OFFER = "variables.json"
# Public on purpose: the dev stack holds nothing worth keeping secret.
PASSPHRASE = "clouddp-dev"  # noqa: S105
PROVIDER = Path(__file__).parent / "provider"
PLUGIN = "pulumi-resource-azure-native"
# What would lead a command to the user's own Pulumi, Azure or stack has no place in a sandbox.
FOREIGN = ("PULUMI_", "ARM_", "AZURE_")
# What these mean to the engine is written for people who know Pulumi's backends.
EXPLANATIONS = {
    "incorrect passphrase": (
        f"The secrets of this stack are not encrypted with the dev stack's public passphrase,"
        f" {PASSPHRASE}: restore Pulumi.{STACK}.yaml as it was committed."
    ),
    "the stack is currently locked": (
        "Another command is working on this stack, or one was killed: wait for it to end, or free"
        f' the stack with `eval "$(make -s env)"; pulumi cancel --yes --stack {STACK}`.'
    ),
}


@dataclass(frozen=True)
class Sandbox:
    """A program's folder with its sandbox in `.sandbox/`: nothing of it is kept elsewhere.

    Attributes:
        root: The folder of `Pulumi.yaml`.
        engine: The folder that holds `pulumi`.
        python: The interpreter that the stand-in for Azure runs in.
    """

    root: Path
    engine: Path
    python: Path

    @property
    def state(self) -> Path:
        """The sandbox's folder, ignored by git."""
        return self.root / STATE

    @property
    def certificates(self) -> Path:
        """Where the dev stack's certificate and its CA are."""
        return self.state / "certificates"

    def variables(self) -> dict[str, str]:
        """Return what plain `pulumi` commands need to work on this sandbox, and on nothing else."""
        return {
            "PULUMI_HOME": str(self.state / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.state / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Only the stand-in is in PULUMI_HOME. The provider for the real Azure is neither
            # fetched nor found on the PATH, so that no command in here can reach it.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "CLOUDDP_SANDBOX_DB": str(self.state / DATABASE),
            "CLOUDDP_SANDBOX_PYTHON": str(self.python),
            **self._offered(),
        }

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a command in this sandbox."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        path = f"{self.engine}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return {**kept, "PATH": path, **self.variables()}

    def exports(self) -> str:
        """Return shell lines that give a shell this sandbox's environment."""
        foreign = sorted(key for key in os.environ if key.startswith(FOREIGN))
        lines = [f"unset {key}" for key in foreign if key not in self.variables()]
        lines += [f"export {key}={shlex.quote(word)}" for key, word in self.variables().items()]
        # `python` is the one that has what the program needs.
        places = os.pathsep.join(
            shlex.quote(str(each)) for each in (self.engine, self.python.parent)
        )
        lines.append(f'export PATH={places}{os.pathsep}"$PATH"')
        return "\n".join(lines)

    def offer(self, variables: Mapping[str, str]) -> None:
        """Add variables for what runs, such as the DNS server, until `forget_offer`."""
        new = self.state / f"{OFFER}.new"
        new.write_text(json.dumps(self._offered() | dict(variables)))
        new.replace(self.state / OFFER)

    def forget_offer(self) -> None:
        """Take those variables back: what they lead to runs no more."""
        (self.state / OFFER).unlink(missing_ok=True)

    def _offered(self) -> dict[str, str]:
        try:
            return json.loads((self.state / OFFER).read_text())
        except FileNotFoundError:
            return {}

    def prepare(self) -> None:
        """Make the folder ready: the stand-in for Azure installed, the stack there.

        Raises:
            Problem: Something of it failed.
        """
        waiting = "Another command is preparing this sandbox; waiting for it ..."
        with cache.locked(self.state / "lock", waiting):
            (self.state / "backend").mkdir(exist_ok=True)
            self._install_provider()
            if not _checkpoints(self.root):
                self.pulumi("stack", "init", STACK)

    def forget_deleted(self) -> None:
        """Start the stand-in for Azure anew, unless a stack still has something in it.

        Azure keeps deleted vaults and workspaces for days, and their names with them: a sandbox
        that was taken down is to come up again at once.
        """
        if not has_resources(self.root, "*"):
            for path in self.state.glob(f"{DATABASE}*"):
                path.unlink()

    def pulumi(self, *arguments: str) -> str:
        """Run a short `pulumi` command and return its output.

        Raises:
            Problem: It failed.
        """
        done = subprocess.run(
            [self.engine / "pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Problem(f"`pulumi {' '.join(arguments)}` failed: {said}{explain(said)}")
        return done.stdout

    def watch_pulumi(self, *arguments: str) -> None:
        """Run a `pulumi` command on the terminal; its errors are explained where that helps.

        Raises:
            Problem: It failed; it has said why itself.
        """
        # Pulumi ends by itself on Ctrl-C and needs its time for that: this process waits.
        process = subprocess.Popen(
            [self.engine / "pulumi", *arguments],
            cwd=self.root,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        said = []
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                for line in process.stderr:
                    print(line, end="", file=sys.stderr, flush=True)
                    said.append(line)
                process.wait()
                break
        if process.returncode:
            raise Problem(f"`pulumi {arguments[0]}` failed." + explain("".join(said)))

    def stack_that_does_not_wait(self) -> Path:
        """Write the stack's settings without the wait for Ready, which nothing served becomes."""
        settings = yaml.safe_load((self.root / f"Pulumi.{STACK}.yaml").read_text())
        settings["config"]["clouddp:readinessTimeoutMinutes"] = 0
        path = self.state / f"Pulumi.{STACK}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    def _install_provider(self) -> None:
        """Install the stand-in where only this sandbox's commands look, again when it changed."""
        files = [
            path
            for path in PROVIDER.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ]
        version = requirements.pinned("pulumi-azure-native")
        digest = cache.digest([version], files)
        stamp = self.state / "provider"
        if stamp.exists() and stamp.read_text() == digest:
            return
        stamp.unlink(missing_ok=True)
        kind = ("plugin", "install", "resource", "azure-native", f"v{version}")
        self.pulumi(*kind, "--file", str(PROVIDER), "--reinstall")
        stamp.write_text(digest)


def has_resources(root: Path, stack: str = STACK) -> bool:
    """Return whether anything is deployed, or an interrupted command may have left something.

    Args:
        root: The folder of `Pulumi.yaml`.
        stack: The stack's name, or `*` for all stacks of the sandbox.
    """
    for checkpoint in _checkpoints(root, stack):
        latest = json.loads(checkpoint.read_text())["checkpoint"].get("latest") or {}
        if latest.get("resources") or latest.get("pending_operations"):
            return True
    return False


def _checkpoints(root: Path, stack: str = STACK) -> list[Path]:
    """Return the stack's state file, where Pulumi keeps it; none before the stack is made."""
    return list((root / STATE / "backend" / ".pulumi" / "stacks").glob(f"*/{stack}.json"))


def explain(said: str) -> str:
    """Return what the user can do about an error of the engine, if it is a known one."""
    found = (words for sign, words in EXPLANATIONS.items() if sign in said)
    return "".join(f"\n{words}" for words in found)
