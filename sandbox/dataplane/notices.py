"""Tells receivers of alerts: webhooks over HTTPS as Azure does, mails only in a log.

Source: MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/alerts/action-groups.md``: ten
seconds to answer, again after statuses 408, 429, 503 and 504 or none at all. Azure waits longer
between its tries. A webhook's certificate has to be one that this machine trusts; `SSL_CERT_FILE`
names other authorities.
"""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx

from sandbox.dataplane.alerts import Change
from sandbox.dataplane.records import Records
from sandbox.dataplane.watch import Receivers

ANSWER_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 3.0, 0.0)
AGAIN = frozenset({408, 429, 503, 504})
MAIL = "written here only, the sandbox sends no mail"


class Notices:
    """Sends one notice after the other, so that nothing resolves before it has fired."""

    def __init__(self, records: Records, log: Path) -> None:
        """Name where it is remembered, and the log for people.

        Args:
            records: Remembers each notice.
            log: Gets a line for each.
        """
        self._records = records
        self._log = log
        self._pool = ThreadPoolExecutor(1)
        self._ending = threading.Event()
        self._client = httpx.Client(
            verify=ssl.create_default_context(), timeout=ANSWER_SECONDS, trust_env=False
        )

    def tell(self, receivers: Receivers, change: Change) -> None:
        """Tell all receivers; nobody waits for them."""
        for mail in receivers.mails:
            self._say(change, f"mail {mail}", MAIL)
        for name, url in receivers.webhooks:
            self._pool.submit(self._post, change, name, url)

    def stop(self) -> None:
        """Tell nobody any more."""
        self._ending.set()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _post(self, change: Change, name: str, url: str) -> None:
        outcome = ""
        for pause in PAUSES_SECONDS:
            try:
                status = self._client.post(url, json=change.payload).status_code
            except httpx.HTTPError as error:
                # The URL may be secret.
                outcome = f"not delivered: {str(error).replace(url, 'the URL')}"
            else:
                outcome = f"status {status}"
                if status not in AGAIN:
                    break
            if self._ending.wait(pause):
                break
        self._say(change, name, outcome)

    def _say(self, change: Change, receiver: str, outcome: str) -> None:
        now = time.time()
        rule = change.rule
        line = (
            f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} {change.condition}"
            f" Sev{rule.severity} {rule.name} -> {receiver}: {outcome}. {rule.description}"
        )
        with self._log.open("a") as log:
            log.write(f"{line}\n")
        self._records.notice(change.alert.id, change.condition, receiver, outcome, now)
