"""Debian packages without root: fetched with what they depend on, unpacked into the cache.

Nothing is installed and nothing is started by the system. What the machine has already is not
fetched, so a tool that is installed is simply the installed one.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox import cache
from sandbox.terminal import Problem

NGINX = ("nginx", "libnginx-mod-http-js", "libnginx-mod-stream")
PROGRAM_FOLDERS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
# What a program needs to be told to run from where it was unpacked.
EXTRA_ARGUMENTS = {"nginx": "-p {root}/usr/lib/nginx/"}
URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) ", re.MULTILINE)


@functools.cache
def programs(*packages: str) -> Path:
    """Return a folder with all programs of these packages and of what they depend on.

    Put it on `PATH`. It is empty where the machine has all of them installed.

    Args:
        packages: Names of packages of the machine's own distribution, as apt takes them.

    Raises:
        Problem: The machine has no apt, or a package cannot be had.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Problem(
            f"{', '.join(packages)} cannot be fetched, since this machine has no apt-get: use"
            " Debian 12, Ubuntu 24.04 or a later one, or a container of one."
        )
    release = Path("/etc/os-release")
    installed = Path("/var/lib/dpkg/status")
    key = cache.digest(
        [*packages, Path(__file__).read_text()],
        [file for file in (release, installed) if file.exists()],
    )
    root = cache.provide(f"packages-{key}", lambda target: _fetch(packages, target))
    return root / "programs"


def environment(*packages: str) -> dict[str, str]:
    """Return this process's environment with these packages' programs first on the path."""
    return os.environ | {"PATH": f"{programs(*packages)}{os.pathsep}{os.environ['PATH']}"}


def _fetch(packages: Sequence[str], target: Path) -> None:
    names = ", ".join(packages)
    apt = _apt(packages, target)
    listing = subprocess.run(
        [*apt, "-qq", "--print-uris", "--no-install-recommends", "install", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        raise Problem(f"apt-get does not know how to install {names}: {listing.stderr.strip()}")
    wanted = [_name_and_version(match["file"]) for match in URI.finditer(listing.stdout)]
    archives = target / "archives"
    archives.mkdir()
    if wanted:
        cache.run_logged(
            f"Fetching {names}",
            [*apt, "download", *wanted],
            log=cache.folder() / "logs" / f"{target.name}.log",
            failure=f"{names} could not be fetched.",
            cwd=archives,
        )
    root = target / "root"
    root.mkdir()
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg", "-x", archive, root], check=True)
    shutil.rmtree(archives)
    _wrap_programs(root, target / "programs")


def _apt(packages: Sequence[str], target: Path) -> list[str | Path]:
    """The apt-get to use: the system's lists when they know the packages, else lists of our own.

    A machine whose lists were never filled, or a user who may not fill them, gets private ones.
    """
    known = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *packages],
        capture_output=True,
        check=False,
    )
    if known.returncode == 0:
        return ["apt-get"]
    state = target / "apt"
    (state / "lists" / "partial").mkdir(parents=True)
    apt: list[str | Path] = [
        "apt-get",
        "-o",
        f"Dir::State::lists={state}/lists",
        "-o",
        f"Dir::Cache={state}",
        "-o",
        "Debug::NoLocking=1",
        "-o",
        "APT::Sandbox::User=",
    ]
    cache.run_logged(
        "Reading the distribution's list of packages",
        [*apt, "-q", "update"],
        log=cache.folder() / "logs" / f"{target.name}.log",
        failure="The distribution's list of packages could not be read.",
    )
    return apt


def _name_and_version(file: str) -> str:
    """`libev4_1%3a4.33-1_amd64.deb` names the package `libev4` and the version `1:4.33-1`."""
    name, version, _ = file.split("_")
    return f"{name}={version.replace('%3a', ':')}"


def _wrap_programs(root: Path, programs: Path) -> None:
    """Write a small script for each program, which finds the libraries that came with it."""
    programs.mkdir()
    libraries = sorted(
        {str(library.parent) for library in (root / "usr/lib").rglob("*.so*")}
        | {str(library.parent) for library in (root / "lib").rglob("*.so*")}
    )
    for folder in PROGRAM_FOLDERS:
        for program in sorted((root / folder).glob("*")):
            script = programs / program.name
            if script.exists() or not os.access(program, os.X_OK) or program.is_dir():
                continue
            extra = EXTRA_ARGUMENTS.get(program.name, "").format(root=shlex.quote(str(root)))
            path = shlex.quote(":".join(libraries))
            script.write_text(
                "#!/bin/sh\n"
                f'export LD_LIBRARY_PATH={path}"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
                f'exec {shlex.quote(str(program))} {extra} "$@"\n'
            )
            script.chmod(0o755)
