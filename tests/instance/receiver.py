"""A webhook receiver on this machine, with a certificate of its own."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path
from typing import Any

from sandbox.dataplane.server import Answer, JsonServer, Request
from tests.instance.pki import Authority

NAME = "localhost"


class Receiver(JsonServer):
    """Keeps what it is sent."""

    methods = ("POST",)

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Listen at once.

        Args:
            folder: Where its certificate may lie.
            authority: Who issues that.
        """
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue(NAME).files(folder, "receiver"))
        super().__init__("127.0.0.1", tls=tls)
        self.got: list[tuple[float, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"https://{NAME}:{self.address.rpartition(':')[2]}/hook?token=very-secret"

    def answer(self, request: Request) -> Answer:
        """Take what comes."""
        self.got.append((time.time(), json.loads(request.body)))
        return Answer(200, {})

    def of(self, rule: str, condition: str) -> list[dict[str, Any]]:
        """Return what was said of a rule whose name ends so: `Fired` or `Resolved`."""
        return [
            alert["data"]
            for _, alert in list(self.got)
            if alert["data"]["essentials"]["alertRule"].endswith(rule)
            and alert["data"]["essentials"]["monitorCondition"] == condition
        ]
