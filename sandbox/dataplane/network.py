"""The sandbox's own addresses: a /24 of the loopback range that no other sandbox has."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox import cache

FILE = "network"
# 127.0.0.0/18 is left to what else may listen on loopback addresses.
FIRST, COUNT = 64 * 256, 192 * 256
SERVERS_PORT = 10443
INNER_PORT = 10080


@dataclass(frozen=True)
class Network:
    """What is where. Virtual IPs are from .10 on, as the control plane gives them out.

    Attributes:
        prefix: The first three numbers, with a dot at the end.
    """

    prefix: str

    @property
    def storage(self) -> str:
        """Address of all storage accounts, at `SERVERS_PORT`."""
        return f"{self.prefix}2"

    @property
    def vault(self) -> str:
        """Address of all vaults, at `SERVERS_PORT`."""
        return f"{self.prefix}3"

    @property
    def resource_manager(self) -> str:
        """Address of Azure Resource Manager, at `SERVERS_PORT`."""
        return f"{self.prefix}5"

    @property
    def ingestion(self) -> str:
        """Address of all data collection end points, at `SERVERS_PORT`."""
        return f"{self.prefix}6"

    @property
    def inner(self) -> str:
        """Address of what no client talks to: Azurite, and what judges requests for it."""
        return f"{self.prefix}4"


class Addresses:
    """Addresses of instances, handed out from the upper end; threads may share it."""

    def __init__(self, network: Network) -> None:
        self._free = [f"{network.prefix}{host}" for host in range(100, 255)]
        self._lock = threading.Lock()

    def take(self) -> str:
        """Return an address that nobody has."""
        with self._lock:
            return self._free.pop()

    def give_back(self, address: str) -> None:
        """Let somebody else have it."""
        with self._lock:
            self._free.append(address)


def claim(state: Path) -> Network:
    """Return the network of the sandbox in that folder, chosen once and kept with it."""
    registry = cache.folder() / "networks"
    kept = state / FILE
    with cache.locked(registry / "lock", "Another sandbox is choosing its addresses; waiting ..."):
        if kept.exists() and _holder(registry / kept.read_text()) == state:
            return Network(kept.read_text())
        start = int(hashlib.sha256(str(state).encode()).hexdigest(), 16)
        numbers = (FIRST + (start + step) % COUNT for step in range(COUNT))
        prefixes = (f"127.{number // 256}.{number % 256}." for number in numbers)
        prefix = next(each for each in prefixes if _free(registry / each))
        kept.write_text(prefix)
        (registry / prefix).write_text(str(state))
    return Network(prefix)


def _holder(entry: Path) -> Path | None:
    """The sandbox that has a network, None where it is gone or has chosen another one."""
    with contextlib.suppress(OSError):
        state = Path(entry.read_text())
        if (state / FILE).read_text() == entry.name:
            return state
    return None


def _free(entry: Path) -> bool:
    """Whether a network is nobody's: neither kept by a sandbox nor used by another user's."""
    if _holder(entry):
        return False
    with socket.socket() as probe:
        try:
            probe.bind((Network(entry.name).storage, SERVERS_PORT))
        except OSError:
            return False
    return True
