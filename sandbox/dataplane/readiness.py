"""The balancers' probes: which instances are ready, as seen over HTTPS without judging names."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

# Azure asks every five seconds at most; here a minute's wait would be a minute of everybody's.
INTERVAL_SECONDS = 0.5
ANSWER_SECONDS = 3.0
MOST_AT_ONCE = 8


@dataclass(frozen=True)
class Probe:
    """One instance as a balancer looks at it."""

    address: str
    port: int
    path: str
    threshold: int
    """How many answers in a row change its mind."""


def answers(address: str, port: int, path: str) -> bool:
    """Whether a page of an instance says 200 within some seconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(address, port, timeout=ANSWER_SECONDS, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Prober:
    """Looks again and again, in threads of its own."""

    def __init__(self, probes: Callable[[], Iterable[Probe]]) -> None:
        """Name what to look at; `start` begins.

        Args:
            probes: What is to be looked at now.
        """
        self._probes = probes
        self._ready: frozenset[Probe] = frozenset()
        # How often in a row an instance was seen to be other than it counts as.
        self._doubts: dict[Probe, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def ready(self) -> frozenset[Probe]:
        """What counts as ready."""
        return self._ready

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            while not self._stopped.wait(INTERVAL_SECONDS):
                probes = list(self._probes())
                seen = pool.map(lambda each: answers(each.address, each.port, each.path), probes)
                self._ready = frozenset(
                    each for each, ok in zip(probes, seen, strict=True) if self._judge(each, ok)
                )
                self._doubts = {each: self._doubts.get(each, 0) for each in probes}

    def _judge(self, probe: Probe, ok: bool) -> bool:
        was = probe in self._ready
        self._doubts[probe] = 0 if ok == was else self._doubts.get(probe, 0) + 1
        if self._doubts[probe] >= probe.threshold:
            self._doubts[probe] = 0
            return ok
        return was
