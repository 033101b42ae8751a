"""The Python packages: one virtual environment for each set of pinned requirements."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from sandbox import cache, requirements
from sandbox.terminal import Problem, say

MINIMUM_PYTHON = (3, 11)
LINK = ".venv"
# Run by the interpreter of a virtual environment that is not ours, on what the program names.
CHECK = """
import importlib.metadata, re, sys
for name, version in re.findall(r"(?m)^([\\w-]+)\\S*==(\\S+)", open(sys.argv[1]).read()):
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"lacks {name} {version}")
    if found != version:
        sys.exit(f"has {name} {found}, not {version}")
"""


def ensure(root: Path) -> Path:
    """Return the interpreter of the environment with the pinned packages, made if need be.

    Also points `.venv` of the checkout to it, where Pulumi looks, unless the user keeps an
    environment of their own there.

    Args:
        root: The checkout.

    Raises:
        Problem: There is no way to make the environment, or the user's own lacks packages.
    """
    files = [requirements.RUNTIME, requirements.DEVELOPMENT]
    name = "venv-" + cache.digest([sys.version, sys.base_prefix], files)
    venv = cache.provide(name, lambda target: _make(target, files))
    interpreter = venv / "bin" / "python"
    if not interpreter.exists():
        raise Problem(
            f"{venv} has no interpreter any more, probably since Python was removed or moved:"
            " remove that folder and run the command again."
        )
    _link(root, venv)
    return interpreter


def _make(target: Path, files: list[Path]) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise Problem(
            f"{sys.executable} cannot make virtual environments: install its venv module"
            f" (on Debian and Ubuntu: apt-get install python{version}-venv)."
        )
    log = cache.folder() / "logs" / f"{target.name}.log"
    log.unlink(missing_ok=True)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    cache.run_logged(
        "Making a virtual environment",
        [sys.executable, "-m", "venv", target],
        log=log,
        failure="The virtual environment could not be made.",
        environment=clean,
    )
    sources = [word for path in files for word in ("-r", path)]
    options = ["--require-hashes", "--no-input", "--no-compile", "--disable-pip-version-check"]
    cache.run_logged(
        "Installing the pinned Python packages, once for each change of the requirements",
        [target / "bin" / "python", "-m", "pip", "install", *options, *sources],
        log=log,
        failure="The Python packages could not be installed.",
        environment=clean,
        detail=lambda: _packages_seen(log),
    )


def _packages_seen(log: Path) -> str:
    seen = log.read_text(errors="replace").count("Collecting ")
    return f"{seen} packages" if seen else ""


def _link(root: Path, venv: Path) -> None:
    """Point `.venv` to the environment, or check the one that the user keeps there."""
    link = root / LINK
    if link.is_symlink() and link.readlink().parent == venv.parent:
        if link.readlink() == venv:
            return
        link.unlink()  # ours, of earlier requirements
    if not link.exists() and not link.is_symlink():
        link.symlink_to(venv, target_is_directory=True)
        return
    interpreter = link / "bin" / "python"
    if not interpreter.exists():
        raise Problem(
            f"{link} is no virtual environment (bin/python is missing): remove it, and the next"
            " run makes one."
        )
    check = [interpreter, "-c", CHECK, requirements.NAMED]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["does not run"])[-1]
        raise Problem(
            f"{link}, which you made yourself, {reason}: run `{LINK}/bin/python -m pip install"
            " --require-hashes -r requirements.txt`, or remove it, and the next run makes one."
        )
    say(f"Using your own virtual environment {link}.")
