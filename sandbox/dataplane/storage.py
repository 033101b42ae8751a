"""Storage for all accounts: Azurite, Microsoft's own emulator, with tokens over TLS.

It takes its accounts at start, so it is started again when one is added; what it holds stays.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from sandbox import cache
from sandbox.dataplane.processes import WITH_PARENT
from sandbox.terminal import Problem

SOURCE = Path(__file__).parents[1] / "azurite"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
# Azurite demands a key for each account; nobody uses it, since only tokens are taken here.
KEY = "Y2xvdWRkcC1zYW5kYm94LWhhcy1uby1rZXlz"


def program() -> Path:
    """Return Azurite's folder in the cache, installed first if need be.

    Raises:
        Problem: Node.js or npm is missing, or the package cannot be had.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Problem("The sandbox's storage, Azurite, needs Node.js: install Node.js 20 or later.")
    files = [SOURCE / "package.json", SOURCE / "package-lock.json"]
    return cache.provide(f"azurite-{cache.digest([], files)}", _install)


def _install(target: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, target)
    cache.run_logged(
        "Installing Azurite, the sandbox's storage",
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        log=cache.folder() / "logs" / f"{target.name}.log",
        failure="Azurite could not be installed.",
        cwd=target,
    )


class Storage:
    """One running Azurite."""

    def __init__(
        self,
        folder: Path,
        host: str,
        port: int,
        *,
        certificate: Path,
        key: Path,
        log: Path | None = None,
    ) -> None:
        """Name it; nothing is started yet.

        Args:
            folder: Where it keeps content.
            host: Address to listen on.
            port: Port to listen on.
            certificate: PEM of the certificate for `*.blob.<suffix>`.
            key: PEM of its key.
            log: Where it says what it was asked; beside the content where none is named.
        """
        self.host, self.port = host, port
        self.log = log or folder / "requests.log"
        self._folder = folder
        self._certificate, self._key = certificate, key
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{self.host}:{self.port}"

    def start(self, accounts: Iterable[str]) -> None:
        """Start it with these accounts, and wait until it answers.

        Raises:
            Problem: It does not.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        script = program() / "node_modules/azurite/dist/src/blob/main.js"
        accounts = ";".join(f"{account}:{KEY}" for account in sorted(accounts))
        options = {
            "--location": self._folder,
            "--blobHost": self.host,
            "--blobPort": self.port,
            "--blobKeepAliveTimeout": 60,
            "--oauth": "basic",
            "--cert": self._certificate,
            "--key": self._key,
        }
        words = [str(word) for option in options.items() for word in option]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *WITH_PARENT,
                    "node",
                    script,
                    *words,
                    "--skipApiVersionCheck",
                    "--disableTelemetry",
                ],
                env=os.environ | {"AZURITE_ACCOUNTS": accounts},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Problem(f"Azurite does not start; it says why in {self.log}.")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it; its content stays."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def requests(self) -> list[str]:
        """Return what was asked so far, a line each."""
        return [line for line in self.log.read_text().splitlines() if '"' in line]

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True
