"""Azure Monitor as its documents describe it: metrics out, rows in, with whatever goes wrong."""

from __future__ import annotations

import json
import re
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from components.clouds import CLOUDS
from sandbox.dataplane.server import Answer, JsonServer, Request
from sandbox.dataplane.tokens import TokenIssuer

CLOUD = CLOUDS["public"]
MANAGER = "management.azure.com"
INGESTION = "clouddp-usage-1abc.westeurope-1.ingest.monitor.azure.com"
BALANCER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/balancer"
ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/account"
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = {"PT1M": MINUTE, "PT1H": HOUR}
LONGEST = 30 * DAY
Dimensions = tuple[tuple[str, str], ...]
OUT: Dimensions = (("Direction", "Out"), ("FrontendPort", "443"))


@dataclass(frozen=True)
class Asked:
    """One query for values."""

    metric: str
    begin: int
    end: int
    step: int


class AzureMonitor(JsonServer):
    """Plays it, for one balancer and one account.

    Attributes:
        now: What it takes for the time, in seconds since 1970; 0 for what it is.
        sent: Bytes by dimensions and minute.
        stored: Bytes by hour; None where a point has no value.
        gaps: Leaves out the value of empty points, instead of saying 0.
        page: Most points in one page, 0 for no pages.
        next_host: Where the next page is.
        error_code: What the metric itself says is wrong.
        faults: Answers given first, one each.
        values: The queries for values.
        metadata: How many queries for the values of dimensions there were.
        rows: The rows that were taken.
    """

    methods = ("GET", "POST")

    def __init__(self, tls: ssl.SSLContext, issuer: TokenIssuer, principal: str) -> None:
        super().__init__("127.0.0.1", tls=tls)
        self._issuer = issuer
        self._principal = principal
        self.now = 0.0
        self.sent: dict[Dimensions, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.stored: dict[int, float | None] = {}
        self.gaps = False
        self.page = 0
        self.next_host = MANAGER
        self.error_code = "Success"
        self.faults: list[Answer] = []
        self.row_faults: list[Answer] = []
        self.values: list[Asked] = []
        self.metadata = 0
        self.rows: list[dict[str, Any]] = []

    def send(self, size: int, when: float, dimensions: Dimensions = OUT) -> None:
        """Let the balancer send bytes."""
        self.sent[dimensions][int(when) // MINUTE * MINUTE] += size

    def answer(self, request: Request) -> Answer:
        found = self._answer(request)
        if not self.now:
            return found
        date = format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True)
        return Answer(found.status, found.body, {"Date": date, **found.headers})

    def _answer(self, request: Request) -> Answer:
        host = request.headers["host"]
        faults, audience = (
            (self.row_faults, CLOUD.monitor_audience)
            if host == INGESTION
            else (self.faults, f"{CLOUD.resource_manager}/")
        )
        if faults:
            return faults.pop(0)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._issuer.principal(token, audience) != self._principal:
            return Answer(401, {"error": {"code": "InvalidAuthenticationToken"}})
        if host == INGESTION:
            assert request.path == "/dataCollectionRules/dcr-1/streams/Custom-t_CL"
            assert request.query == {"api-version": "2023-01-01"}
            assert request.headers["content-type"] == "application/json"
            self.rows += json.loads(request.body)
            return Answer(204, None)
        assert host == MANAGER
        resource = request.path.removesuffix("/providers/Microsoft.Insights/metrics")
        metric = request.query["metricnames"]
        assert (resource, metric) in {(BALANCER, "ByteCount"), (ACCOUNT, "UsedCapacity")}
        assert request.query["api-version"] == "2023-10-01"
        begin, end = (
            int(datetime.fromisoformat(edge).timestamp())
            for edge in request.query["timespan"].split("/")
        )
        assert begin < end <= begin + LONGEST
        if request.query.get("resultType") == "metadata":
            self.metadata += 1
            return self._reply(metric, request.query, self._directions(begin, end))
        return self._data(metric, request.query, begin, end)

    def _directions(self, begin: int, end: int) -> list[dict[str, Any]]:
        found = {
            value
            for dimensions, minutes in self.sent.items()
            if any(begin <= minute < end for minute in minutes)
            for name, value in dimensions
            if name == "Direction"
        }
        return [{"metadatavalues": [_named("direction", each)]} for each in sorted(found)]

    def _data(self, metric: str, query: Mapping[str, str], begin: int, end: int) -> Answer:
        step = STEPS[query["interval"]]
        skip = int(query.get("$skiptoken", 0))
        if not skip:
            self.values.append(Asked(metric, begin, end, step))
        if metric == "UsedCapacity":
            assert (query["aggregation"], step) == ("Average", HOUR)
            series: dict[Dimensions, Mapping[int, float | None]] = {(): self.stored}
            name = "average"
        else:
            assert query["aggregation"] == "Total"
            series, name = self._chosen(query["$filter"]), "total"
        buckets = range(begin, end, step)
        until = skip + self.page if self.page else len(buckets)
        answered = [
            {
                "metadatavalues": [_named(*each) for each in dimensions],
                "data": [self._point(name, bucket, step, values) for bucket in buckets[skip:until]],
            }
            for dimensions, values in series.items()
        ]
        more = {}
        if until < len(buckets):
            others = "&".join(
                f"{key}={value}" for key, value in query.items() if key != "$skiptoken"
            )
            path = f"{_resource(metric)}/providers/Microsoft.Insights/metrics"
            url = f"https://{self.next_host}{path}?{others}&$skiptoken={until}"
            more = {"nextLink": url.replace(" ", "%20")}
        return self._reply(metric, query, answered, **more)

    def _chosen(self, text: str) -> dict[Dimensions, Mapping[int, float | None]]:
        wanted: dict[str, set[str]] = defaultdict(set)
        for clause in text.split(" and "):
            for term in clause.split(" or "):
                match = re.fullmatch(r"(\w+) eq '([^'*]+)'", term)
                assert match, text
                wanted[match[1]].add(match[2])
        assert wanted.keys() == {"FrontendPort", "Direction"}
        return {
            dimensions: dict(values)
            for dimensions, values in self.sent.items()
            if all(value in wanted[name] for name, value in dimensions)
        }

    def _point(
        self, name: str, bucket: int, step: int, values: Mapping[int, float | None]
    ) -> dict[str, Any]:
        point: dict[str, Any] = {
            "timeStamp": f"{datetime.fromtimestamp(bucket, UTC):%Y-%m-%dT%H:%M:%SZ}"
        }
        found = [
            values[minute] for minute in range(bucket, bucket + step, MINUTE) if minute in values
        ]
        known = [value for value in found if value is not None]
        if known:
            # As Azure writes numbers of its metrics.
            point[name] = float(sum(known))
        elif found:
            point[name] = None
        elif not self.gaps and name == "total":
            point[name] = 0.0
        return point

    def _reply(
        self, metric: str, query: Mapping[str, str], series: list[dict[str, Any]], **more: str
    ) -> Answer:
        body = {
            "cost": 0,
            "timespan": query["timespan"],
            "value": [
                {
                    "id": f"{_resource(metric)}/providers/Microsoft.Insights/metrics/{metric}",
                    "type": "Microsoft.Insights/metrics",
                    "name": {"value": metric, "localizedValue": metric},
                    "unit": "Bytes",
                    "timeseries": [] if self.error_code != "Success" else series,
                    "errorCode": self.error_code,
                }
            ],
            "resourceregion": "westeurope",
            **more,
        }
        return Answer(200, body)


def _named(name: str, value: str) -> dict[str, Any]:
    return {"name": {"value": name.lower(), "localizedValue": name.lower()}, "value": value}


def _resource(metric: str) -> str:
    return BALANCER if metric == "ByteCount" else ACCOUNT
