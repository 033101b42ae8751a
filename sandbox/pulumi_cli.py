"""The Pulumi engine: an installed one, else the official installer's, else built from source."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from sandbox import cache, requirements
from sandbox.terminal import Problem, Step, say

SOURCE = Path(__file__).parent / "engine"
# Later versions of the module do not build: they need a module version that is not published.
SOURCE_VERSION = "3.255.0"
MINIMUM_VERSION = (3, 255, 0)
LANGUAGE_HOST = "pulumi-language-python"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
# Files of the SDK's Go module that an official installation has beside the CLI.
SDK_FILES = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
# The installer has no time limit of its own. A machine without internet is found out by the probe.
PROBE = """
import urllib.request
urllib.request.urlopen("https://get.pulumi.com/", timeout=5).close()
"""
PROBE_SECONDS = 10
INSTALL = """
import sys
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1])
"""
INSTALL_SECONDS = 300


def ensure(python: Path) -> Path:
    """Return the folder that holds `pulumi` and the language host for Python.

    Args:
        python: An interpreter that has the Pulumi SDK: it knows the official installer.

    Raises:
        Problem: There is no engine and no way to get one.
    """
    return _on_path() or _cached() or _official(python) or _built()


def _on_path() -> Path | None:
    found = shutil.which("pulumi")
    if not found:
        return None
    done = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
    version = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
    folder = Path(found).resolve().parent
    if not version:
        say(f"{found} does not tell its version, so another engine is used.")
    elif tuple(int(part) for part in version.groups()) < MINIMUM_VERSION:
        minimum = ".".join(str(part) for part in MINIMUM_VERSION)
        say(f"{found} is {version[0]}, older than {minimum}, so another engine is used.")
    elif not (folder / LANGUAGE_HOST).exists():
        say(f"{folder} has no {LANGUAGE_HOST}, so another engine is used.")
    else:
        return folder
    return None


def _official_name() -> str:
    return f"pulumi-{requirements.pinned('pulumi')}"


def _built_name() -> str:
    files = [path for path in SOURCE.iterdir() if path.suffix in {".go", ".mod", ".sum"}]
    system = [platform.system(), platform.machine(), SOURCE_VERSION]
    return "pulumi-built-" + cache.digest(system, files)


def _cached() -> Path | None:
    for name in (_official_name(), _built_name()):
        target = cache.folder() / name
        if (target / ".complete").exists():
            return target / "bin"
    return None


def _official(python: Path) -> Path | None:
    if not _ends_well([str(python), "-c", PROBE], PROBE_SECONDS):
        say("Pulumi's official installer cannot be reached, so the engine is built from source.")
        return None

    def make(target: Path) -> None:
        with Step("Installing the Pulumi CLI with its official installer, once"):
            if not _ends_well([str(python), "-c", INSTALL, str(target)], INSTALL_SECONDS):
                raise Problem("Pulumi's official installer failed.")

    try:
        return cache.provide(_official_name(), make) / "bin"
    except Problem as problem:
        say(f"{problem} The engine is built from source instead.")
        return None


def _ends_well(command: list[str], seconds: int) -> bool:
    """Run a command with all its children for at most so long; return whether it succeeded."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _built() -> Path:
    return cache.provide(_built_name(), _build) / "bin"


def _build(target: Path) -> None:
    go = _find_go()
    log = cache.folder() / "logs" / f"{target.name}.log"
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",  # no C compiler is needed then
        "GOWORK": "off",  # the checkout may lie within somebody's Go workspace
    }
    flags = f"-s -w -X {SDK_MODULE}/go/common/version.Version=v{SOURCE_VERSION}"
    options = ["-v", "-mod=readonly", "-buildvcs=false", "-ldflags", flags]
    for program, package in (("pulumi", CLI_PACKAGE), (LANGUAGE_HOST, ".")):
        output = target / "bin" / program
        cache.run_logged(
            f"Building {program} {SOURCE_VERSION} from source, once"
            + (" (some minutes)" if program == "pulumi" else ""),
            [go, "build", *options, "-o", str(output), package],
            cwd=SOURCE,
            log=log,
            failure=f"{program} could not be built.",
            environment=environment,
            detail=lambda: _packages_built(log),
        )
    listing = [go, "list", "-m", "-f", "{{.Dir}}", SDK_MODULE]
    done = subprocess.run(
        listing, cwd=SOURCE, env=environment, capture_output=True, text=True, check=True
    )
    for name in SDK_FILES:
        source = Path(done.stdout.strip()) / name
        copy = target / "bin" / source.name
        shutil.copyfile(source, copy)
        copy.chmod(copy.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _packages_built(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading") for line in lines)
    built = sum(not line.startswith("go:") for line in lines)
    return f"{built} packages compiled" if built else f"{fetched} modules fetched"


def _find_go() -> str:
    """Return the Go command, once it is known to be recent enough for the module."""
    needed = re.search(r"^go (\S+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert needed, "go.mod names a Go version"
    remedy = (
        f"install Go {needed[1]} or later to build the Pulumi CLI, or install the Pulumi CLI"
        " itself (https://www.pulumi.com/docs/install/)."
    )
    go = shutil.which("go")
    if not go:
        raise Problem(f"There is no Pulumi CLI and no Go on the PATH: {remedy}")
    # In the module's folder Go takes a newer toolchain by itself where it is allowed to.
    done = subprocess.run(
        [go, "env", "GOVERSION"], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    version = re.match(r"go(\d+(?:\.\d+)*)", done.stdout.strip())
    if done.returncode or not version or _parts(version[1]) < _parts(needed[1]):
        reason = (done.stderr.strip().splitlines() or [f"it is {done.stdout.strip()}"])[0]
        raise Problem(f"{go} is too old ({reason}): {remedy}")
    return go


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
