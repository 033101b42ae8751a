"""Which proxy the checks made from this machine go through.

``HTTPS_PROXY`` and ``NO_PROXY`` are read as curl reads them, so that one setting serves all tools.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

HTTPS_PORT = 443


@dataclass(frozen=True)
class Proxy:
    """A proxy and the hosts that are reached without it.

    Attributes:
        url: ``http://`` or ``https://`` URL, perhaps with user and password; empty without proxy.
        direct: entries of ``NO_PROXY``.
    """

    url: str = ""
    direct: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without user and password, since messages and logs may show it."""
        return f"Proxy({self})"

    def __str__(self) -> str:
        if not self.url:
            return "none"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or _default_port(parts.scheme)}"

    def for_hosts(self, *hosts: str, port: int) -> str | None:
        """The proxy's URL for one destination, or None where it is reached directly.

        Args:
            hosts: the destination's name and addresses; one of them in ``NO_PROXY`` is enough.
            port: TCP port of the destination.
        """
        if not self.url or any(_matches(e, host, port) for e in self.direct for host in hosts):
            return None
        return self.url

    def for_url(self, url: str) -> str | None:
        """The same for the host and port of an https URL."""
        parts = urlsplit(url)
        return self.for_hosts(parts.hostname or "", port=parts.port or HTTPS_PORT)


def of_environment(environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable that names a proxy, and what it says; both empty where none does.

    Lower case wins, as with curl. ``ALL_PROXY`` may name a proxy of a kind that cannot be used here
    (SOCKS): it is passed over.
    """
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        url = environment.get(variable, "")
        of_another_kind = "://" in url and not url.lower().startswith(("http://", "https://"))
        if url and not (of_another_kind and variable.lower() == "all_proxy"):
            return variable, url
    return "", ""


def proxy_from(setting: str | None, environment: Mapping[str, str] = os.environ) -> Proxy:
    """The proxy of the setting, else of ``HTTPS_PROXY``; ``NO_PROXY`` holds for either.

    Args:
        setting: value of ``proxy``, if it is set.
        environment: environment variables.
    """
    url = setting or of_environment(environment)[1]
    if url and "://" not in url:
        url = f"http://{url}"
    without = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    entries = without.replace(",", " ").split()
    return Proxy(url, tuple(entries))


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    host = host.lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of the two is a name
    name, colon, wanted = entry.lower().rpartition(":")
    if not colon or not wanted.isdigit():
        name, wanted = entry.lower(), str(port)
    name = name.removeprefix("*").removeprefix(".")
    return wanted == str(port) and (host == name or host.endswith(f".{name}"))


def _default_port(scheme: str) -> int:
    return HTTPS_PORT if scheme == "https" else 80
