"""A copy of the checkout with a sandbox of its own, used as `make` uses it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests

from sandbox import samples
from sandbox.dataplane import control
from sandbox.dataplane.desired import Desired, read
from sandbox.dataplane.network import Network, claim
from sandbox.dataplane.room import Room
from sandbox.home import FOREIGN, STACK, Sandbox
from sandbox.provider.cloud import Cloud
from sandbox.requirements import ROOT

COPIED = ("__main__.py", "components", "instance", "sandbox", "Pulumi.yaml", f"Pulumi.{STACK}.yaml")
REQUIREMENTS = ("requirements.in", "requirements.txt", "requirements-dev.txt")
# A change of the certificate is seen within a minute or so, and the command waits for it.
LIMIT_SECONDS = 280
CHANGED = re.compile(
    r"^ *[-+~]+ +azure-native:\S+ (\S+) (?:created|updated|deleted|replaced)", re.M
)


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout in a folder of its own."""

    sandbox: Sandbox

    @classmethod
    def copy(cls, root: Path, engine: Path) -> Checkout:
        for name in (*COPIED, *REQUIREMENTS):
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, root / name, ignore=ignored)
            else:
                shutil.copyfile(ROOT / name, root / name)
        return cls(Sandbox(root=root, engine=engine, python=Path(sys.executable)))

    @property
    def room(self) -> Room:
        return Room(self.sandbox.state)

    @property
    def network(self) -> Network:
        return claim(self.sandbox.state)

    def make(self, command: str, *, fails: bool = False) -> str:
        """Run what the Makefile runs, which is to succeed or to fail; return all that it said."""
        kept = {name: word for name, word in os.environ.items() if not name.startswith(FOREIGN)}
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", command],
            cwd=self.sandbox.root,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stdout
        return done.stdout

    def desired(self) -> Desired:
        return read(Cloud(self.room.database), self.network)

    def point(self) -> samples.Point:
        (point,) = samples.points(self.desired())
        return point

    def publish(self, point: samples.Point) -> int:
        return samples.publish(
            self.content,
            point,
            nameserver=control.nameserver(self.sandbox),
            authority=self.room.authority,
            key=self.room.token_key.read_text(),
        )

    @property
    def content(self) -> Path:
        return self.sandbox.state / "content"

    @property
    def authority(self) -> Path:
        return self.sandbox.certificates / "ca.pem"

    def session(self) -> requests.Session:
        """A client that resolves names as the sandbox does, and trusts the dev certificate."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.authority)
        session.mount("https://", samples.SandboxDns(control.nameserver(self.sandbox)))
        return session

    def served_certificate(self) -> bytes:
        """The certificate that a new connection gets, as DER."""
        point = self.point()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((point.address, point.port), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=point.fqdn) as tls,
        ):
            return tls.getpeercert(binary_form=True) or b""

    def supervisor(self) -> int:
        return int(self.room.reported()["pid"])

    def processes(self) -> dict[int, str]:
        """Processes that have to do with this sandbox, by their words, files or addresses."""
        listening = self._listening()
        return {
            int(entry.name): words
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
            and int(entry.name) != os.getpid()
            and (words := self._words(entry, listening))
        }

    def _words(self, entry: Path, listening: set[str]) -> str:
        """The command line of a process of this sandbox, empty for others."""
        mine = str(self.sandbox.state)
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            open_files = {str(file.readlink()) for file in (entry / "fd").iterdir()}
            if mine in words or any(mine in file for file in open_files) or open_files & listening:
                return words
        return ""

    def _listening(self) -> set[str]:
        """Sockets that listen on the sandbox's own addresses, as `/proc/PID/fd` names them."""
        numbers = [int(number) for number in self.network.prefix.strip(".").split(".")]
        prefix = "".join(f"{number:02X}" for number in reversed(numbers))
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {f"socket:[{row[9]}]" for row in rows if row[1][2:8] == prefix and row[3] == "0A"}


def changed(said: str) -> set[str]:
    """What `pulumi up` says that it made, changed or removed: logical names."""
    return {match[1] for match in CHANGED.finditer(said)}
