"""Storage accounts and their containers, as the control plane has them, in one Azurite."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import httpx

from components.clouds import CLOUDS, DEFAULT_CLOUD
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.terminal import Problem

API_VERSION = "2021-12-02"
SECONDS = 30.0
FOUND, THERE, GONE = frozenset({200}), frozenset({201, 409}), frozenset({202, 404})


class Accounts:
    """Starts Azurite anew when an account comes, and makes and removes containers."""

    def __init__(
        self, storage: Storage, folder: Path, authority: Path, issuer: TokenIssuer
    ) -> None:
        """Name it; nothing is started yet.

        Args:
            storage: Azurite.
            folder: Where it keeps its content.
            authority: PEM of the authority of its certificate.
            issuer: Who makes the tokens that it takes.
        """
        self._storage = storage
        self._folder = folder
        self._issuer = issuer
        self._client = httpx.Client(
            verify=ssl.create_default_context(cafile=authority), timeout=SECONDS
        )
        self._hosts: frozenset[str] = frozenset()
        self._containers: frozenset[tuple[str, str]] = frozenset()

    def apply(self, desired: Desired) -> None:
        """Have these accounts and containers.

        Raises:
            Problem: Azurite does not do it.
        """
        hosts = frozenset(desired.accounts)
        if not hosts:
            self.stop()
            # Content goes with its account.
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        if not hosts <= self._hosts or not self._storage.running:
            self.stop()
            self._storage.start(host.partition(".")[0] for host in hosts)
        self._hosts = hosts
        names = {host.partition(".")[0]: host for host in hosts}
        wanted = frozenset(each for each in desired.containers if each[0] in names)
        for account, container in sorted(wanted - self._containers):
            self._ask("PUT", names[account], f"{container}?restype=container", THERE)
        for account, container in sorted(self._containers - wanted):
            if account in names:
                self._ask("DELETE", names[account], f"{container}?restype=container", GONE)
        self._containers = wanted

    def used(self) -> dict[str, int]:
        """Return how many bytes each account holds, by the host of its blob service.

        Raises:
            Problem: Azurite does not say.
        """
        sizes = dict.fromkeys(self._hosts, 0)
        for host in sizes:
            for account, container in self._containers:
                if host.startswith(f"{account}."):
                    sizes[host] += sum(self._sizes(host, container))
        return sizes

    def _sizes(self, host: str, container: str) -> Iterator[int]:
        marker = ""
        while True:
            query = f"{container}?restype=container&comp=list&include=snapshots&marker={marker}"
            reply = self._ask("GET", host, query, FOUND)
            listed = ElementTree.fromstring(reply)  # noqa: S314 - our own server's
            yield from (int(each.text or 0) for each in listed.iter("Content-Length"))
            marker = quote(listed.findtext("NextMarker") or "")
            if not marker:
                return

    def stop(self) -> None:
        """End Azurite; content stays."""
        self._storage.stop()
        self._hosts = frozenset()
        self._containers = frozenset()

    def _ask(self, method: str, host: str, target: str, fine: frozenset[int]) -> str:
        token = self._issuer.token("sandbox", CLOUDS[DEFAULT_CLOUD].storage_audience)
        try:
            reply = self._client.request(
                method,
                f"https://{self._storage.address}/{target}",
                headers={
                    "Host": host,
                    "Authorization": f"Bearer {token}",
                    "x-ms-version": API_VERSION,
                },
                extensions={"sni_hostname": host},
            )
        except httpx.HTTPError as error:
            raise Problem(f"Azurite does not answer: {error}; see {self._storage.log}.") from error
        if reply.status_code not in fine:
            raise Problem(
                f"Azurite answers {reply.status_code} for {target} of {host};"
                f" see {self._storage.log}."
            )
        return reply.text
