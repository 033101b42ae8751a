"""Azure Monitor's metrics: what is measured, and the end point that answers for it.

Sources: azure-rest-api-specs ``specification/monitor/resource-manager/Microsoft.Insights/stable/
2023-10-01/metrics_API.json`` with its examples; MicrosoftDocs/azure-monitor-docs ``articles/
azure-monitor/metrics/rest-api-walkthrough.md`` (dimension values, one wildcard at most) and
``metrics/data-platform-metrics.md`` (93 days kept, 30 in one chart); Microsoft Learn,
"Supported metrics with Azure Monitor". `Direction` is spelt as microsoft/Application-Insights-
Workbooks, ``NetworkInsights-LoadBalancerMetrics.workbook``, has it.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from components.clouds import CLOUDS
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.records import MINUTE, Point, Records
from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import ISSUER, TokenIssuer
from sandbox.provider.checks import minutes
from sandbox.provider.cloud import arm_type, normal
from sandbox.provider.rules import METRICS

READERS = frozenset(
    {
        "43d0d8ad-25c7-4714-9337-8ba259a9fe05",  # Monitoring Reader
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",  # Reader
        "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
    }
)
OUT, IN = "Out", "In"
ANY = "*"
VERSIONS = frozenset({"2018-01-01", "2019-07-01", "2021-05-01", "2023-10-01", "2024-02-01"})
GRAINS = ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D")
KEPT_DAYS, MOST_DAYS = 93, 30
DAY = 24 * 3600
DEFAULT_SPAN = 3600
DEFAULT_TOP = 10
PATH = re.compile(r"(?P<resource>/subscriptions/.+)/providers/microsoft\.insights/metrics", re.I)
_TERM = re.compile(r"\s*(?P<name>\w+)\s+eq\s+'(?P<value>[^']*)'\s*")


@dataclass(frozen=True)
class Metric:
    """One metric that the sandbox measures."""

    name: str
    title: str
    unit: str
    aggregation: str
    """The only one that is offered here."""
    finest: str = "PT1M"
    """The shortest interval."""


BALANCER = "microsoft.network/loadbalancers"
STORAGE = "microsoft.storage/storageaccounts"
BYTE_COUNT = Metric("ByteCount", "Byte Count", "Bytes", "Total")
DIP = Metric("DipAvailability", "Health Probe Status", "Count", "Average")
VIP = Metric("VipAvailability", "Data Path Availability", "Count", "Average")
USED = Metric("UsedCapacity", "Used capacity", "Bytes", "Average", "PT1H")
MEASURED: Mapping[str, tuple[Metric, ...]] = {BALANCER: (BYTE_COUNT, DIP, VIP), STORAGE: (USED,)}

Series = dict[tuple[tuple[str, str], ...], list[Point]]
"""Points by the values of some dimensions."""


class Refused(Exception):
    """What the metrics service does not answer, in its words."""


class MetricsService(JsonServer):
    """Azure Resource Manager of all clouds, as far as it answers for metrics."""

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        tls: ssl.SSLContext,
        issuer: TokenIssuer,
        records: Records,
        desired: Callable[[], Desired],
        region: Callable[[str], str | None],
    ) -> None:
        """Listen at once.

        Args:
            host: Address to listen on.
            port: Port, 0 for a free one.
            tls: Certificate for the names of Resource Manager.
            issuer: Whose tokens are taken.
            records: Where the points are.
            desired: What the control plane has now, for the roles.
            region: Where a resource (by id) is, None where there is no such resource.
        """
        super().__init__(host, port, tls=tls)
        self._issuer = issuer
        self._records = records
        self._desired = desired
        self._region = region

    def answer(self, request: Request) -> Answer:
        """Give points or the values of dimensions, or refuse as Azure does."""
        host = request.headers.get("host", "").split(":")[0].lower()
        audiences = [
            form
            for cloud in CLOUDS.values()
            if urlsplit(cloud.resource_manager).hostname == host
            for form in (f"{cloud.resource_manager}/", cloud.resource_manager)
        ]
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        principal = self._issuer.principal(token, audiences) if audiences else None
        if principal is None:
            challenge = f'Bearer authorization_uri="{ISSUER}", error="invalid_token"'
            text = f"The access token is invalid, has expired, or is for none of {audiences}."
            return _refusal(
                401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": challenge}
            )
        match = PATH.fullmatch(request.path)
        if match is None:
            return _refusal(404, "NotFound", "The sandbox's Resource Manager has metrics only.")
        resource = match["resource"]
        if not self._desired().permits(principal, resource, READERS):
            return _refusal(
                403,
                "AuthorizationFailed",
                f"The client with object id '{principal}' does not have authorization to perform"
                f" action 'Microsoft.Insights/metrics/read' over scope '{resource}' or the scope is"
                " invalid. If access was recently granted, please refresh your credentials.",
            )
        region = self._region(resource)
        if region is None:
            return _refusal(404, "ResourceNotFound", f"The Resource '{resource}' was not found.")
        try:
            body = chart(self._records, resource, request.query, time.time())
        except Refused as refused:
            # This service's errors lack the envelope of Resource Manager's own.
            return Answer(400, {"code": "BadRequest", "message": str(refused)})
        return Answer(200, {**body, "resourceregion": normal(region)})


def chart(
    records: Records, resource: str, query: Mapping[str, str], now: float
) -> dict[str, object]:
    """Return what a query for metrics is answered with, all but the region.

    Args:
        records: Where the points are.
        resource: Id of a resource that exists.
        query: Parameters of the request's URL.
        now: The time, in seconds since 1970.

    Raises:
        Refused: The query is wrong.
    """
    # Names of parameters are compared as Azure does, which knows `timespan` and `Timespan`.
    asked = {name.lower(): value for name, value in query.items()}
    _need(asked.get("api-version") in VERSIONS, "The api-version is missing or not supported.")
    kind = arm_type(resource)
    namespace = asked.get("metricnamespace", kind)
    _need(namespace.lower() == kind.lower(), f"There is no metric namespace {namespace} here.")
    metrics = [_metric(kind, name) for name in asked.get("metricnames", "").split(",")]
    start, end = _timespan(asked.get("timespan"), now)
    interval = asked.get("interval", "PT1M")
    chosen = _filter(asked.get("$filter", ""), kind, metrics)
    limit = asked.get("top", str(DEFAULT_TOP))
    _need(limit.isdigit(), f"The top {limit} is no number.")
    top = int(limit) if chosen else 1
    body: dict[str, Any] = {
        "timespan": f"{_iso(start)}/{_iso(end)}",
        "namespace": kind,
    }
    if asked.get("resulttype", "data").lower() == "metadata":
        _need(bool(chosen), "Metadata can be asked for with a filter only.")
        body["value"] = [
            _about(resource, metric)
            | {"timeseries": [{"metadatavalues": each} for each in _named(series)][:top]}
            for metric in metrics
            for series in [_series(records, resource, metric, start, end, chosen)]
        ]
        return body
    for metric in metrics:
        _need(
            interval in GRAINS[GRAINS.index(metric.finest) :],
            f"Detected invalid time grain input: {interval}. {metric.name} has"
            f" {', '.join(GRAINS[GRAINS.index(metric.finest) :])}.",
        )
        _need(
            asked.get("aggregation", metric.aggregation).lower() == metric.aggregation.lower(),
            f"The sandbox has {metric.name} as {metric.aggregation} only.",
        )
    body |= {"cost": 0, "interval": interval, "value": []}
    for metric in metrics:
        series = _series(records, resource, metric, start, end, chosen)
        step = round(minutes(interval) * MINUTE)
        timeseries = [
            {"metadatavalues": names, "data": _data(metric, points, start, end, step)}
            for names, points in zip(_named(series), series.values(), strict=True)
        ]
        body["value"].append(
            _about(resource, metric) | {"timeseries": timeseries[:top], "errorCode": "Success"}
        )
    return body


def _need(holds: bool, text: str) -> None:
    if not holds:
        raise Refused(text)


def _metric(kind: str, name: str) -> Metric:
    known = MEASURED.get(kind.lower(), ())
    for metric in known:
        if metric.name.lower() == name.strip().lower():
            return metric
    provider, _, tail = kind.partition("/")
    raise Refused(
        f"Failed to find metric configuration for provider: {provider}, resource Type: {tail},"
        f" metric: {name}, Valid metrics: {','.join(metric.name for metric in known)}"
    )


def _timespan(text: str | None, now: float) -> tuple[int, int]:
    """Begin and end in seconds; the begin at a full minute, which is where the first bucket is."""
    if text is None:
        return int(now - DEFAULT_SPAN) // MINUTE * MINUTE, int(now)
    try:
        begin, finish = (_moment(part) for part in text.split("/"))
    except ValueError:
        raise Refused(f"The timespan {text} is not startDateTime_ISO/endDateTime_ISO.") from None
    _need(begin < finish, f"The timespan {text} has its start time not before its end time.")
    _need(begin > now - KEPT_DAYS * DAY, f"Metrics are kept for {KEPT_DAYS} days.")
    # The documents know this limit of the portal's charts; whether the API has it they do not say.
    _need(finish - begin <= MOST_DAYS * DAY, f"The timespan {text} is over {MOST_DAYS} days long.")
    return int(begin) // MINUTE * MINUTE, int(finish)


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _filter(text: str, kind: str, metrics: list[Metric]) -> dict[str, frozenset[str]]:
    """The values that are asked for, by dimension, both in lower case."""
    chosen: dict[str, frozenset[str]] = {}
    if not text.strip():
        return chosen
    for clause in re.split(r"\band\b", text):
        terms = [_TERM.fullmatch(term) for term in re.split(r"\bor\b", clause)]
        names = {term["name"].lower() for term in terms if term}
        _need(all(terms) and len(names) == 1, f"The filter is wrong at: {clause.strip()}")
        (name,) = names
        for metric in metrics:
            known = METRICS[kind.lower()][metric.name.lower()]
            _need(name in known, f"{metric.name} has no dimension {name}, but {', '.join(known)}.")
        chosen[name] = frozenset(term["value"].lower() for term in terms if term)
    wild = [name for name, wanted in chosen.items() if ANY in wanted]
    _need(len(wild) <= 1, f"Only one dimension may have a wildcard: {', '.join(wild)}.")
    return chosen


def _series(
    records: Records,
    resource: str,
    metric: Metric,
    start: float,
    end: float,
    chosen: Mapping[str, frozenset[str]],
) -> Series:
    """Points that a filter lets through, by the values of the dimensions that it lets vary."""
    varies = [name for name, wanted in chosen.items() if ANY in wanted or len(wanted) > 1]
    series: Series = {} if chosen else {(): []}
    for point in records.points(resource, metric.name, start, end):
        if all(
            ANY in wanted or point.dimensions[name].lower() in wanted
            for name, wanted in chosen.items()
        ):
            key = tuple((name, point.dimensions[name]) for name in varies)
            series.setdefault(key, []).append(point)
    return series


def _named(series: Series) -> list[list[dict[str, Any]]]:
    return [
        [{"name": {"value": name, "localizedValue": name}, "value": value} for name, value in key]
        for key in series
    ]


def _data(
    metric: Metric, points: list[Point], start: int, end: int, step: int
) -> list[dict[str, Any]]:
    """One entry for each interval; an interval in which nothing was measured has no value."""
    sums: dict[int, tuple[float, int]] = {}
    for point in points:
        bucket = start + (point.minute - start) // step * step
        total, count = sums.get(bucket, (0.0, 0))
        sums[bucket] = total + point.total, count + point.count
    name = metric.aggregation.lower()
    entries: list[dict[str, Any]] = []
    for bucket in range(start, end, step):
        entry: dict[str, Any] = {"timeStamp": _iso(bucket)}
        if bucket in sums:
            total, count = sums[bucket]
            entry[name] = total if metric.aggregation == "Total" else total / count
        entries.append(entry)
    return entries


def _about(resource: str, metric: Metric) -> dict[str, Any]:
    return {
        "id": f"{resource}/providers/Microsoft.Insights/metrics/{metric.name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": metric.name, "localizedValue": metric.title},
        "unit": metric.unit,
    }


def _refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}}, headers or {})
