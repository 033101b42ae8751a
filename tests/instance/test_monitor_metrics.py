from __future__ import annotations

import ssl
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.clouds import CLOUDS
from sandbox.dataplane.metrics import READERS, MetricsService
from sandbox.dataplane.records import Records
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.monitoring import ACCOUNT, BALANCER, DESIRED, granted
from tests.instance.pki import Authority
from tests.instance.world import PRINCIPAL

AUDIENCE = "https://management.azure.com/"
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
START = NOW - 3 * HOUR
OUT = {"frontendipaddress": "127.1.1.10", "frontendport": "8443", "direction": "Out"}
FILTER = "FrontendPort eq '8443' and Direction eq '*'"


def iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Metrics:
    """The end point with some points, and a client."""

    def __init__(self, records: Records, service: MetricsService, issuer: TokenIssuer) -> None:
        self.records = records
        self.service = service
        self.issuer = issuer

    def ask(self, resource: str = BALANCER, token: str | None = None, **query: str) -> Any:
        names = {
            "api-version": "2023-10-01",
            "metricnames": "ByteCount",
            "timespan": f"{iso(START)}/{iso(NOW)}",
            "interval": "PT1H",
            "aggregation": "Total",
            **query,
        }
        given = self.issuer.token(PRINCIPAL, AUDIENCE) if token is None else token
        return httpx.get(
            f"https://{self.service.address}{resource}/providers/Microsoft.Insights/metrics",
            params={name: word for name, word in names.items() if word},
            headers={"Host": "management.azure.com", "Authorization": f"Bearer {given}".strip()},
            verify=False,  # noqa: S501
            timeout=10,
        )

    def totals(self, **query: str) -> list[tuple[list[str], list[float | None]]]:
        reply = self.ask(**query)
        assert reply.status_code == 200, reply.text
        return [
            (
                [each["value"] for each in series["metadatavalues"]],
                [entry.get("total") for entry in series["data"]],
            )
            for series in reply.json()["value"][0]["timeseries"]
        ]


@pytest.fixture
def metrics(authority: Authority, issuer: TokenIssuer, tmp_path: Path) -> Generator[Metrics]:
    records = Records(tmp_path / "monitor.db")
    for hours, dimensions, size in (
        (0, OUT, 1000),
        (0, OUT, 24),
        (0, OUT | {"direction": "In"}, 5),
        (2, OUT, 1),
        (2, OUT | {"frontendport": "8444"}, 999),
    ):
        records.add(
            BALANCER, "ByteCount", dimensions, (START + hours * HOUR).timestamp() + 61, size
        )
    records.put(ACCOUNT, "UsedCapacity", {}, START.timestamp(), 7.0)
    records.put(ACCOUNT, "UsedCapacity", {}, START.timestamp(), 9.0)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("management.azure.com").files(tmp_path, "manager"))
    grants = granted(READERS, BALANCER) + granted(READERS, ACCOUNT)
    service = MetricsService(
        "127.0.0.1",
        tls=tls,
        issuer=issuer,
        records=records,
        desired=lambda: DESIRED(grants=frozenset(grants)),
        region=lambda resource: "West Europe" if resource in (BALANCER, ACCOUNT) else None,
    )
    with service:
        yield Metrics(records, service, issuer)
    records.close()


def test_bytes_are_summed_by_direction_for_the_port_that_is_asked_for(metrics: Metrics) -> None:
    out = "FrontendPort eq '8443' and Direction eq 'out'"
    assert metrics.totals(**{"$filter": FILTER}) == [
        (["In"], [5.0, None, None]),
        (["Out"], [1024.0, None, 1.0]),
    ]
    assert metrics.totals(**{"$filter": out}) == [([], [1024.0, None, 1.0])]
    assert metrics.totals() == [([], [1029.0, None, 1000.0])]


def test_a_minute_has_what_was_sent_in_it(metrics: Metrics) -> None:
    span = f"{iso(START)}/{iso(START + timedelta(minutes=3))}"
    assert metrics.totals(timespan=span, interval="PT1M") == [([], [None, 1029.0, None])]


def test_the_answer_has_the_documented_form(metrics: Metrics) -> None:
    body = metrics.ask(**{"$filter": FILTER}).json()
    (value,) = body.pop("value")
    assert body == {
        "cost": 0,
        "timespan": f"{iso(START)}/{iso(NOW)}",
        "interval": "PT1H",
        "namespace": "Microsoft.Network/loadBalancers",
        "resourceregion": "westeurope",
    }
    series = value.pop("timeseries")
    assert value == {
        "id": f"{BALANCER}/providers/Microsoft.Insights/metrics/ByteCount",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": "ByteCount", "localizedValue": "Byte Count"},
        "unit": "Bytes",
        "errorCode": "Success",
    }
    assert series[1] == {
        "metadatavalues": [
            {"name": {"value": "direction", "localizedValue": "direction"}, "value": "Out"}
        ],
        "data": [
            {"timeStamp": iso(START), "total": 1024.0},
            {"timeStamp": iso(START + HOUR)},
            {"timeStamp": iso(START + 2 * HOUR), "total": 1.0},
        ],
    }


def test_metadata_tells_how_directions_are_spelt(metrics: Metrics) -> None:
    reply = metrics.ask(resultType="metadata", interval="", aggregation="", **{"$filter": FILTER})
    (value,) = reply.json()["value"]
    assert "interval" not in reply.json()
    assert [each["metadatavalues"][0]["value"] for each in value["timeseries"]] == ["In", "Out"]
    assert all("data" not in each for each in value["timeseries"])


def test_used_capacity_is_the_newest_count_of_its_hour(metrics: Metrics) -> None:
    reply = metrics.ask(ACCOUNT, metricnames="UsedCapacity", aggregation="Average")
    (series,) = reply.json()["value"][0]["timeseries"]
    assert [entry.get("average") for entry in series["data"]] == [9.0, None, None]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"metricnames": "Bytes"}, "Valid metrics: ByteCount,DipAvailability,VipAvailability"),
        ({"interval": "PT2H"}, "time grain"),
        ({"metricnames": "UsedCapacity"}, "Failed to find metric configuration"),
        ({"api-version": ""}, "api-version"),
        ({"aggregation": "Average"}, "Total only"),
        ({"metricnamespace": "Microsoft.Storage/storageAccounts"}, "no metric namespace"),
        ({"timespan": "yesterday"}, "startDateTime_ISO/endDateTime_ISO"),
        ({"timespan": f"{iso(NOW)}/{iso(START)}"}, "start time"),
        ({"timespan": f"{iso(NOW - 31 * 24 * HOUR)}/{iso(NOW)}"}, "30 days"),
        ({"timespan": f"{iso(NOW - 94 * 24 * HOUR)}/{iso(NOW - 80 * 24 * HOUR)}"}, "93 days"),
        ({"$filter": "Direction is 'Out'"}, "filter is wrong"),
        ({"$filter": "Colour eq 'red'"}, "no dimension colour"),
        ({"$filter": "Direction eq 'Out' or FrontendPort eq '1'"}, "filter is wrong"),
        ({"$filter": "Direction eq '*' and FrontendPort eq '*'"}, "wildcard"),
        ({"resultType": "metadata"}, "with a filter only"),
    ],
)
def test_a_wrong_query_is_refused(metrics: Metrics, query: dict[str, str], says: str) -> None:
    reply = metrics.ask(**query)
    assert (reply.status_code, reply.json()["code"]) == (400, "BadRequest")
    assert says in reply.json()["message"]


def test_storage_has_no_finer_grain_than_an_hour(metrics: Metrics) -> None:
    reply = metrics.ask(ACCOUNT, metricnames="UsedCapacity", aggregation="Average", interval="PT1M")
    assert reply.status_code == 400


def test_whoever_has_no_right_is_refused(metrics: Metrics) -> None:
    issuer = metrics.issuer
    assert metrics.ask(token="").status_code == 401
    assert metrics.ask(token=issuer.token(PRINCIPAL, AUDIENCE, seconds=-5)).status_code == 401
    assert metrics.ask(token=TokenIssuer().token(PRINCIPAL, AUDIENCE)).status_code == 401
    for other in (CLOUDS["china"].resource_manager, CLOUDS["public"].storage_audience):
        assert metrics.ask(token=issuer.token(PRINCIPAL, other)).status_code == 401
    assert metrics.ask(token=issuer.token(PRINCIPAL, AUDIENCE[:-1])).status_code == 200
    stranger = metrics.ask(token=issuer.token("99999999-9999-4999-8999-999999999999", AUDIENCE))
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert metrics.ask(BALANCER + "2").status_code == 403
    assert metrics.ask(f"{BALANCER}/probes/https").status_code == 404


def test_what_is_measured_survives_and_goes_with_its_resource(tmp_path: Path) -> None:
    now = time.time()
    for _ in range(2):
        records = Records(tmp_path / "monitor.db")
        records.add(BALANCER, "ByteCount", OUT, now, 3)
        records.close()
    records = Records(tmp_path / "monitor.db")
    assert sum(each.total for each in records.points(BALANCER, "bytecount", now - 60, now)) == 6
    records.keep_only([ACCOUNT], [])
    assert records.points(BALANCER, "bytecount", now - 60, now) == []
    records.close()
