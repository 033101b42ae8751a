"""Real DNS servers on loopback: BIND as zone's own server and as resolver, and a slow relay."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from sandbox import packages

KEY_NAME = "clouddp-key"
KEY = "c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5LTMyLWJ5dGU="
OTHER_KEY = "YW5vdGhlci1zZWNyZXQtb2YtdGhlLXRlc3RzLW9ubHk="
START_SECONDS = 15
# BIND listens on addresses that an interface has, and of 127.0.0.0/8 the loopback has this one.
ADDRESS = "127.0.0.1"


def free_port(address: str = ADDRESS) -> int:
    """A port that is free for TCP and UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((address, 0))
            port = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind((address, port))
                return port


@dataclass
class Bind:
    """One named process.

    Attributes:
        zones: zone name -> records in zone-file form, `@` being the zone; its server's name is
            `ns` within it. A zone that is an empty text is declared, and cannot be loaded.
        forwards: zone name -> server to ask, for a resolver.
    """

    folder: Path
    zones: Mapping[str, str] = field(default_factory=dict)
    forwards: Mapping[str, Bind] = field(default_factory=dict)
    options: str = ""
    policy: str = ""
    tls: str = ""
    address: str = ADDRESS
    port: int = 0
    negative_ttl: int = 1
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port = self.port or free_port(self.address)

    @property
    def server(self) -> str:
        """As a setting names it."""
        return f"{self.address}:{self.port}"

    def __enter__(self) -> Bind:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "named.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["named", "-f", "-g", "-n", "1", "-c", self._write()],
                env=packages.environment("bind9"),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_SECONDS
        query = dns.message.make_query("version.bind", "TXT", "CH")
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError, dns.exception.DNSException):
                dns.query.udp(query, self.address, 0.3, self.port)
                return self
            time.sleep(0.05)
        raise AssertionError(f"named does not start: {log.read_text()[-3000:]}")

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()  # its files go with the test's folder
        self._process.wait(5)

    def log(self) -> str:
        """What named has said so far."""
        return (self.folder / "named.log").read_text()

    def _write(self) -> Path:
        policy = self.policy or f"grant {KEY_NAME} zonesub ANY;"
        lines = [
            "options {",
            f'  directory "{self.folder}";',
            f"  listen-on port {self.port} {{ {self.address}; }};",
            "  listen-on-v6 { none; };",
            "  recursion yes; allow-recursion { any; };" if self.forwards else "  recursion no;",
            "  dnssec-validation no;",
            "  empty-zones-enable no;",
            f'  pid-file none; session-keyfile "{self.folder}/session.key";',
            f"  {self.options}",
            "};",
            "controls { };",
            self.tls,
            f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY}"; }};',
            f'key "other-key" {{ algorithm hmac-sha256; secret "{OTHER_KEY}"; }};',
        ]
        for zone, records in self.zones.items():
            file = self.folder / f"{zone}.zone"
            if records:
                file.write_text(
                    f"$TTL 60\n@ SOA ns hostmaster 1 60 60 6000 {self.negative_ttl}\n"
                    f"@ NS ns\nns A {self.address}\n{records}\n"
                )
            lines.append(
                f'zone "{zone}" {{ type primary; file "{file}"; update-policy {{ {policy} }}; }};'
            )
        for zone, server in self.forwards.items():
            lines.append(
                f'zone "{zone}" {{ type forward; forward only; '
                f"forwarders {{ {server.address} port {server.port}; }}; }};"
            )
        configuration = self.folder / "named.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return configuration


def over_https(pem: str, port: int, file: Path) -> dict[str, str]:
    """What a server needs to answer over HTTPS on another port, too, with this key and chain."""
    file.write_text(pem)
    return {
        "options": f"listen-on port {port} tls web http default {{ {ADDRESS}; }};",
        "tls": f'tls web {{ cert-file "{file}"; key-file "{file}"; }};',
    }


@contextlib.contextmanager
def slow_relay(server: Bind, seconds: float) -> Generator[str]:
    """A way to a server, UDP only, on which each answer takes that long."""
    incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    incoming.bind((ADDRESS, 0))
    incoming.settimeout(0.1)
    stop = threading.Event()

    def answer(packet: bytes, client: tuple[str, int]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
            outgoing.settimeout(3)
            outgoing.sendto(packet, (server.address, server.port))
            reply = outgoing.recv(65535)
        if not stop.wait(seconds):
            incoming.sendto(reply, client)

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                packet, client = incoming.recvfrom(65535)
                threading.Thread(target=answer, args=(packet, client), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"{ADDRESS}:{incoming.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(5)
        incoming.close()
