"""Keeps count of what the quotas limit, posts it, and refuses content where that is asked for.

Nothing of it is needed to serve. What is not known keeps its last known value, so that the service
neither stops nor goes on by a guess.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Mapping
from typing import Any

from . import certificates, rows
from .arithmetic import Level, level, reached
from .azure import Api
from .capacity import Capacity
from .identity import Identity
from .journal import WARNING, say
from .monitor import Monitor
from .patience import Patience
from .places import Endpoints, Instance, Places
from .problem import Problem
from .rows import Certificate, Figures
from .service import UsageSettings
from .traffic import Traffic
from .transfer import Source, Transfer
from .web import Web

ROW_SECONDS = 300
# What was sent is not known any more when Azure has not said it for so long. Longer than a
# throttled question waits, and far shorter than the alerts look back.
STALE_SECONDS = 900
STOPPED = "stopped"
Kind = tuple[UsageSettings, Level | None, Level | None, bool, str]
"""What a row says, but for the figures themselves: a change of it is posted at once."""


class Accounting:
    """What the agent counts."""

    def __init__(
        self,
        web: Web,
        identity: Identity,
        *,
        places: Places,
        instance: Instance,
        endpoints: Endpoints,
    ) -> None:
        self._places = places
        # Instances that share a machine have an address each.
        self._name = endpoints.listen or socket.gethostname()
        resource_manager = instance.resource_manager.rstrip("/")
        monitor = Monitor(Api(web, identity, f"{resource_manager}/"), resource_manager)
        self._monitor = monitor
        self._transfer = Transfer(monitor, places)
        self._capacity = Capacity(monitor)
        self._logs = Api(web, identity, instance.monitor_audience)
        self._patience = {name: Patience() for name in ("transfer", "capacity", "rows")}
        self._file = places.state / "usage.json"
        self._kept: dict[str, Any] = {}
        self._figures, self._counted = self._restored()
        self._traffic = Traffic(places, self._counted)
        if self._counted is None:
            self._counted = self._traffic.begin_anew()
        self._sent_known_at = -math.inf
        self._certificate: tuple[str, Certificate] | None = None
        self._posted: tuple[Kind, float] | None = None

    def read_transfer(self, usage: UsageSettings) -> None:
        """Adds up what was sent to clients.

        Raises:
            Problem: Azure does not say; the last figure holds.
        """
        with self._patience["transfer"].attempt():
            sent = self._transfer.read(Source(usage.balancer, usage.port), usage.period_days)
        self._figures = Figures(sent=sent, stored=self._figures.stored)
        self._sent_known_at = time.monotonic()
        self._keep()

    def read_capacity(self, usage: UsageSettings) -> None:
        """Asks what is stored.

        Raises:
            Problem: Azure does not say; the last figure holds.
        """
        with self._patience["capacity"].attempt():
            stored = self._capacity.read(usage.account)
        if stored is not None:
            self._figures = Figures(sent=self._figures.sent, stored=stored)
            self._keep()

    def read_traffic(self) -> None:
        """Counts what this instance served."""
        self._traffic.read()
        self._keep()

    def stop_or_go_on(self, usage: UsageSettings) -> None:
        """Has nginx refuse content, or serve it again."""
        sent = self._figures.sent
        if sent is None and usage.stop_at_critical:
            return
        stop = usage.stop_at_critical and reached(
            sent or 0, usage.transfer_quota, usage.critical_percent
        )
        if stop == self._stopped:
            return
        used = (
            f"{sent} bytes were sent in {usage.period_days} days, of {usage.transfer_quota};"
            f" {usage.critical_percent} % is critical."
        )
        if stop:
            self._places.touch(STOPPED)
            say(f"Content is refused: {used}", WARNING)
        else:
            (self._places.run / STOPPED).unlink()
            say(f"Content is served again: {used}")

    def post(self, usage: UsageSettings, served: str) -> None:
        """Posts a row, where one is due.

        Args:
            usage: quotas, and where rows go.
            served: PEM of key, leaf and chain that nginx serves with.

        Raises:
            Problem: it is not taken; what it counts goes into the next one.
        """
        certificate = self._describe(served)
        kind = self._kind(usage, certificate)
        now = time.monotonic()
        if self._posted and self._posted[0] == kind and now - self._posted[1] < ROW_SECONDS:
            return
        row = rows.row(
            now=self._monitor.now(),
            instance=self._name,
            usage=usage,
            figures=self._current,
            certificate=certificate,
            counts=self._traffic.counts,
            stopped=self._stopped,
        )
        with self._patience["rows"].attempt():
            rows.post(self._logs, usage, row)
        self._posted = (kind, now)
        self._counted = self._traffic.begin_anew()
        self._keep()

    @property
    def _current(self) -> Figures:
        """What may be told as true: whoever looks must see that a count has gone blind.

        The last known figure still holds for stopping and going on.
        """
        if time.monotonic() - self._sent_known_at < STALE_SECONDS:
            return self._figures
        return Figures(sent=None, stored=self._figures.stored)

    @property
    def _stopped(self) -> bool:
        return (self._places.run / STOPPED).exists()

    def _kind(self, usage: UsageSettings, certificate: Certificate) -> Kind:
        thresholds = (usage.warning_percent, usage.critical_percent)
        return (
            usage,
            level(self._current.sent, usage.transfer_quota, *thresholds),
            level(self._figures.stored, usage.storage_quota, *thresholds),
            self._stopped,
            certificate.thumbprint,
        )

    def _describe(self, served: str) -> Certificate:
        if self._certificate is None or self._certificate[0] != served:
            found = certificates.split(served)
            if not found:
                raise Problem("No certificate is served yet.")
            known = Certificate(certificates.thumbprint(found[0]), found[0].expires)
            self._certificate = (served, known)
        return self._certificate[1]

    def _restored(self) -> tuple[Figures, Mapping[str, int] | None]:
        """What was known last, and how far the access log was counted."""
        try:
            values = json.loads(self._file.read_text())
            sent, stored = (_count(values[name]) for name in ("sent", "stored"))
            counted = {str(name): int(size) for name, size in values["counted"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Figures(), None
        return Figures(sent, stored), counted

    def _keep(self) -> None:
        values = {
            "sent": self._figures.sent,
            "stored": self._figures.stored,
            "counted": dict(self._counted or {}),
        }
        if values != self._kept:
            self._places.write(self._file, json.dumps(values))
            self._kept = values


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
