"""The commands of the Makefile. They run with the pinned packages: `__main__.py` sees to that."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox import certificates, pulumi_cli, serving
from sandbox.dashboard import page
from sandbox.home import STACK, STATE, Sandbox, has_resources
from sandbox.requirements import ROOT
from sandbox.terminal import Problem, say

AT_ONCE = ("--yes", "--skip-preview", "--suppress-permalink=true", "--stack", STACK)
CHECKED = ("__main__.py", "bench", "components", "instance", "sandbox", "tests")
# The tiers of the tests, and how each is run. Two run side by side (48 s for the unit tests in
# place of 83 s, on two cores); real servers have the machine for themselves.
TIERS: dict[str, tuple[str, ...]] = {
    "unit": ("-n", "2"),
    "engine": ("-n", "2"),
    "dns": (),
    "instance": (),
}


def up() -> None:
    """Deploy the dev stack to the sandbox, and download something from it."""
    sandbox = _sandbox()
    served = serving.start(sandbox)
    stack = () if served else ("--config-file", str(sandbox.stack_that_does_not_wait()))
    with serving.names(sandbox):
        sandbox.watch_pulumi("up", *AT_ONCE, *stack)
    if served:
        serving.prove(sandbox)
    say(f'To go on with plain Pulumi: eval "$(make -s env)"; pulumi stack --stack {STACK}')


def preview() -> None:
    """Show what `up` would change."""
    options = ("--diff", "--suppress-permalink=true", "--stack", STACK)
    sandbox = _sandbox()
    with serving.names(sandbox):
        sandbox.watch_pulumi("preview", *options)


def down() -> None:
    """Destroy what `up` deployed, and stop what it started."""
    if has_resources(ROOT):
        sandbox = _sandbox()
        with serving.names(sandbox):
            sandbox.watch_pulumi("destroy", *AT_ONCE)
        serving.stop(sandbox)
        sandbox.forget_deleted()
    else:
        if (ROOT / STATE).exists():
            serving.stop(_sandbox())
        say("Nothing is up.")


def env() -> None:
    """Print shell lines that make plain `pulumi` commands work on the sandbox."""
    sandbox = _sandbox()
    serving.forget_dead(sandbox)
    print(sandbox.exports())


def dashboard() -> None:
    """Draw the workbook's picture from the sandbox's own figures, and print where it is."""
    sandbox = Sandbox(root=ROOT, engine=ROOT, python=Path(sys.executable))
    print(page.write(sandbox, time.time()))


def lint() -> None:
    """Check style, format and types."""
    paths = [path for path in CHECKED if (ROOT / path).exists()]
    runs = (
        ("ruff", "check", "--quiet", *paths),
        ("ruff", "format", "--check", "--quiet", *paths),
        ("ty", "check", "--no-progress", "--python", sys.prefix, *paths),
    )
    failed = [" ".join(run[:2]) for run in runs if not _succeeds(run)]
    if failed:
        raise Problem(f"Not clean: {', '.join(failed)} (`make format` mends what it can).")
    say("Style, format and types are clean.")


def format_code() -> None:
    """Format the code, and mend what can be mended without a person."""
    paths = [path for path in CHECKED if (ROOT / path).exists()]
    _succeeds(("ruff", "check", "--fix", "--quiet", *paths))
    _succeeds(("ruff", "format", *paths))


def test() -> None:
    """Run the checks and every tier of the tests."""
    lint()
    pulumi_cli.ensure(Path(sys.executable))
    tiers = [tier for tier in TIERS if any((ROOT / "tests" / tier).glob("test_*.py"))]
    failed = [tier for tier in tiers if not _succeeds(("pytest", *TIERS[tier], f"tests/{tier}"))]
    if failed:
        raise Problem(f"Tests failed in {', '.join(f'tests/{tier}' for tier in failed)}.")


def bench() -> None:
    """Measure."""
    pulumi_cli.ensure(Path(sys.executable))
    if not _succeeds(("python", "-m", "bench")):
        raise Problem("The measurements failed.")


def requirements() -> None:
    """Pin the requirements anew: the newest versions that the *.in files allow, for any Python."""
    options = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
    header = ("--upgrade", "--custom-compile-command", "make requirements")
    for name in ("requirements", "requirements-dev"):
        files = ("--output-file", f"{name}.txt", f"{name}.in")
        if not _succeeds(("uv", "pip", "compile", *options, *header, *files)):
            raise Problem(f"{name}.in could not be resolved.")


COMMANDS: dict[str, Callable[[], None]] = {
    "up": up,
    "preview": preview,
    "down": down,
    "env": env,
    "dashboard": dashboard,
    "lint": lint,
    "format": format_code,
    "test": test,
    "bench": bench,
    "requirements": requirements,
}


def _sandbox() -> Sandbox:
    """Return the checkout's sandbox with all that a command needs in place."""
    python = Path(sys.executable)
    sandbox = Sandbox(root=ROOT, engine=pulumi_cli.ensure(python), python=python)
    sandbox.prepare()
    certificates.ensure(sandbox.certificates)
    return sandbox


def _succeeds(command: tuple[str, ...]) -> bool:
    """Run a tool of the virtual environment on the terminal; return whether it succeeded."""
    tool = Path(sys.prefix) / "bin" / command[0]
    return subprocess.run([tool, *command[1:]], cwd=ROOT, check=False).returncode == 0
