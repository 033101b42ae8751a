"""The names of the sandbox: a real DNS server (BIND) with the zones that the control plane has."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import packages
from sandbox.dataplane.processes import Server

PACKAGE = "bind9"
# BIND listens on addresses that an interface has, and of 127.0.0.0/8 the loopback has this one.
ADDRESS = "127.0.0.1"
ZONE_NAME = re.compile(r"[a-z0-9_.-]+")


class Names:
    """One BIND that is the primary server of all zones, and of a root that has nothing else."""

    def __init__(self, folder: Path, port: int, log: Path) -> None:
        """Name it; nothing is started yet.

        Args:
            folder: Where its files are written.
            port: Port for UDP and TCP.
            log: Where it says what it does.
        """
        self.server = f"{ADDRESS}:{port}"
        self._folder = folder
        self._port = port
        self._zones: dict[str, tuple[str, ...]] = {}
        configuration = folder / "named.conf"
        self._process = Server(
            ["named", "-g", "-n", "1", "-c", configuration],
            log=log,
            environment=packages.environment(PACKAGE),
        )

    def apply(self, zones: Mapping[str, Sequence[str]]) -> None:
        """Serve these zones: lines in the form of zone files, names relative to the zone."""
        wanted = {zone: tuple(lines) for zone, lines in zones.items() if ZONE_NAME.fullmatch(zone)}
        # So no question ever leaves this machine.
        wanted["."] = ()
        if wanted != self._zones:
            self._folder.mkdir(parents=True, exist_ok=True)
            for zone, lines in wanted.items():
                if lines != self._zones.get(zone):
                    (self._folder / f"{_file(zone)}").write_text(_zone_file(lines))
            (self._folder / "named.conf").write_text(self._configuration(wanted))
            self._zones = wanted
            self._process.reload()
        self._process.ensure()

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            Problem: It does not.
        """
        self._process.wait_for(ADDRESS, self._port)

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _configuration(self, zones: Mapping[str, Sequence[str]]) -> str:
        lines = [
            "options {",
            f'  directory "{self._folder}";',
            f"  listen-on port {self._port} {{ {ADDRESS}; }};",
            "  listen-on-v6 { none; };",
            # Without it, BIND does not follow an alias from one of its zones to another.
            "  recursion yes; allow-recursion { any; };",
            "  dnssec-validation no;",
            "  empty-zones-enable no;",
            f'  pid-file none; session-keyfile "{self._folder}/session.key";',
            "};",
            "controls { };",
            *(
                f'zone "{zone}" {{ type primary; file "{_file(zone)}"; }};'
                for zone in sorted(zones)
            ),
        ]
        return "\n".join(lines) + "\n"


def _file(zone: str) -> str:
    return f"{zone.rstrip('.') or 'root'}.zone"


def _zone_file(lines: Sequence[str]) -> str:
    # A name that is not there is believed for a second only: it may be made at any moment.
    head = (
        f"$TTL 60\n@ SOA ns hostmaster {int(time.time())} 60 60 6000 1\n@ NS ns\nns A {ADDRESS}\n"
    )
    return head + "".join(f"{line}\n" for line in lines)
