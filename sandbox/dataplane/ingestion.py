"""Azure Monitor's Logs Ingestion API: rows come in through data collection rules.

Source: MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/logs/
logs-ingestion-api-overview.md``, and for limits ``fundamentals/service-limits.md``. Azure lets go
of columns that a stream lacks and of values of another type without a word; here they are refused,
since nobody would see what is lost.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from components.clouds import CLOUDS
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.records import Records
from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.watch import Intake

PUBLISHERS = frozenset({"3913510d-42f4-4e42-8a64-420c390055eb"})  # Monitoring Metrics Publisher
PATH = re.compile(r"/dataCollectionRules/(?P<rule>[^/]+)/streams/(?P<stream>[^/]+)", re.I)
VERSIONS = frozenset({"2021-11-01-preview", "2023-01-01"})
MOST_BYTES = 1024 * 1024
TIME = "TimeGenerated"
INT, LONG = 2**31, 2**63


class Refused(Exception):
    """What the service does not take: status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class IngestionService(JsonServer):
    """Answers for all data collection end points: the host name says which."""

    methods = ("POST",)

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        tls: ssl.SSLContext,
        issuer: TokenIssuer,
        records: Records,
        desired: Callable[[], Desired],
    ) -> None:
        """Listen at once.

        Args:
            host: Address to listen on.
            port: Port, 0 for a free one.
            tls: Certificate for the end points' names.
            issuer: Whose tokens are taken.
            records: Where rows go.
            desired: What the control plane has now.
        """
        super().__init__(host, port, tls=tls)
        self._issuer = issuer
        self._records = records
        self._desired = desired

    def answer(self, request: Request) -> Answer:
        """Take rows, or refuse them all."""
        try:
            self._take(request)
        except Refused as refused:
            error = {"code": refused.code, "message": str(refused)}
            return Answer(refused.status, {"error": error})
        return Answer(204, None)

    def _take(self, request: Request) -> None:
        host = request.headers.get("host", "").split(":")[0].lower()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        audiences = [
            cloud.monitor_audience
            for cloud in CLOUDS.values()
            if host.endswith(f".{urlsplit(cloud.monitor_audience).hostname}")
        ]
        principal = self._issuer.principal(token, audiences) if audiences else None
        if principal is None:
            raise Refused(401, "InvalidToken", "The token is not valid for this end point.")
        match = PATH.fullmatch(request.path)
        if match is None or request.query.get("api-version") not in VERSIONS:
            raise Refused(400, "InvalidApiVersion", "The path or the api-version is not known.")
        desired = self._desired()
        intake = desired.intakes.get(match["rule"].lower())
        if intake is None or intake.host != host:
            raise Refused(
                404,
                "NotFound",
                f"Data collection rule with immutable Id '{match['rule']}' not found.",
            )
        if not desired.permits(principal, intake.rule, PUBLISHERS):
            raise Refused(
                403,
                "OperationFailed",
                "The authentication token provided does not have access to ingest data for the data"
                f" collection rule with immutable Id '{match['rule']}'.",
            )
        rows = _rows(request)
        self._records.write(*_checked(intake, match["stream"], rows, time.time()))


def _rows(request: Request) -> list[dict[str, Any]]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(415, "UnsupportedMediaType", "The Content-Type is not application/json.")
    body = request.body
    try:
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        rows = json.loads(body)
    except (OSError, EOFError, zlib.error, ValueError):
        raise Refused(400, "InvalidRequestContent", "The body is no JSON.") from None
    if len(body) > MOST_BYTES:
        raise Refused(413, "ContentLengthLimitExceeded", f"The limit is {MOST_BYTES} bytes.")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(400, "InvalidRequestContent", "The body is not an array of objects.")
    return rows


def _checked(
    intake: Intake, name: str, rows: list[dict[str, Any]], now: float
) -> tuple[str, list[tuple[float, Mapping[str, Any]]]]:
    """The table that rows go to, and the rows with their times."""
    stream = intake.streams.get(name)
    if stream is None:
        raise Refused(400, "InvalidStream", f"Stream {name} was not configured in the rule.")
    times: list[tuple[float, Mapping[str, Any]]] = []
    for row in rows:
        for column, value in row.items():
            kind = stream.columns.get(column)
            if kind is None:
                raise Refused(400, "InvalidRecord", f"{name} has no column {column}.")
            if value is not None and not _fits(kind, value):
                raise Refused(400, "InvalidRecord", f"{column} is no {kind}: {value!r}")
        given = row.get(TIME)
        times.append((_moment(given) if given else now, row))
    return stream.table, times


def _fits(kind: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    match kind.lower():
        case "int":
            return whole and -INT <= value < INT
        case "long":
            return whole and -LONG <= value < LONG
        case "real":
            return whole or isinstance(value, float)
        case "boolean":
            return isinstance(value, bool)
        case "datetime":
            return isinstance(value, str) and _is_moment(value)
        case "string":
            return isinstance(value, str)
    return True


def _is_moment(text: str) -> bool:
    try:
        _moment(text)
    except ValueError:
        return False
    return True


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
