"""Storage accounts and their containers, as the control plane has them, in one Azurite."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import httpx

from components.clouds import CLOUDS, DEFAULT_CLOUD
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.terminal import Problem

API_VERSION = "2021-12-02"
SECONDS = 30.0
THERE, GONE = frozenset({201, 409}), frozenset({202, 404})


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
            self._ask("PUT", names[account], container, THERE)
        for account, container in sorted(self._containers - wanted):
            if account in names:
                self._ask("DELETE", names[account], container, GONE)
        self._containers = wanted

    def stop(self) -> None:
        """End Azurite; content stays."""
        self._storage.stop()
        self._hosts = frozenset()
        self._containers = frozenset()

    def _ask(self, method: str, host: str, container: str, fine: frozenset[int]) -> None:
        token = self._issuer.token("sandbox", CLOUDS[DEFAULT_CLOUD].storage_audience)
        reply = self._client.request(
            method,
            f"https://{self._storage.address}/{container}?restype=container",
            headers={
                "Host": host,
                "Authorization": f"Bearer {token}",
                "x-ms-version": API_VERSION,
            },
            extensions={"sni_hostname": host},
        )
        if reply.status_code not in fine:
            raise Problem(
                f"Azurite answers {reply.status_code} for the container {container} of {host};"
                f" see {self._storage.log}."
            )
