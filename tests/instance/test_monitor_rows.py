from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.quotas.usage_table import COLUMNS
from sandbox.dataplane.ingestion import PUBLISHERS, IngestionService
from sandbox.dataplane.records import Records
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.watch import Intake, Stream
from tests.instance.monitoring import BALANCER, DESIRED, GROUP, TABLE, granted
from tests.instance.pki import Authority
from tests.instance.world import PRINCIPAL

HOST = "clouddp1-usage-0a1b.westeurope-1.ingest.monitor.azure.com"
AUDIENCE = "https://monitor.azure.com"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/clouddp1-usage".lower()
STREAM = "Custom-clouddp1abc_CL"
INTAKE = Intake(RULE, HOST, {STREAM: Stream(TABLE, {each.name: each.kind for each in COLUMNS})})
NOW = datetime.now(UTC)
ROW = {
    "TimeGenerated": NOW.isoformat(),
    "Instance": "clouddp1_0",
    "BytesSent": 10**12,
    "TransferPercent": 50,
    "CertificateDaysLeft": None,
    "Stopped": False,
    "TopContent": [{"path": "/a", "requests": 1, "bytes": 2}],
}


class Rows:
    """The end point, and a client that posts to it."""

    def __init__(self, records: Records, service: IngestionService, issuer: TokenIssuer) -> None:
        self.records = records
        self.service = service
        self.issuer = issuer

    def post(
        self,
        body: Any = (ROW,),
        *,
        token: str | None = None,
        rule: str = "dcr-1",
        stream: str = STREAM,
        version: str = "2023-01-01",
        **headers: str,
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = self.issuer.token(PRINCIPAL, AUDIENCE) if token is None else token
        return httpx.post(
            f"https://{self.service.address}/dataCollectionRules/{rule}/streams/{stream}",
            params={"api-version": version},
            content=content,
            headers={
                "Host": HOST,
                "Authorization": f"Bearer {given}".strip(),
                "Content-Type": "application/json",
                **{name.replace("_", "-"): word for name, word in headers.items()},
            },
            verify=False,  # noqa: S501
            timeout=10,
        )

    def there(self) -> list[dict[str, Any]]:
        return self.records.rows(TABLE, NOW.timestamp() - 60, time.time() + 60)


@pytest.fixture
def rows(authority: Authority, issuer: TokenIssuer, tmp_path: Path) -> Generator[Rows]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue(HOST).files(tmp_path, "ingestion"))
    records = Records(tmp_path / "monitor.db")
    grants = granted(PUBLISHERS, RULE) + granted(PUBLISHERS, BALANCER)
    desired = DESIRED(
        grants=frozenset(grants),
        intakes={"dcr-1": INTAKE, "dcr-2": Intake(BALANCER.lower(), "elsewhere", {})},
    )
    service = IngestionService(
        "127.0.0.1", tls=tls, issuer=issuer, records=records, desired=lambda: desired
    )
    with service:
        yield Rows(records, service, issuer)
    records.close()


def test_a_row_that_is_posted_is_in_its_table(rows: Rows) -> None:
    reply = rows.post()
    assert (reply.status_code, reply.content) == (204, b"")
    assert rows.there() == [ROW]


def test_rows_may_be_compressed_and_several(rows: Rows) -> None:
    body = gzip.compress(json.dumps([ROW, {"Requests": 3}]).encode())
    assert rows.post(body, Content_Encoding="gzip").status_code == 204
    assert rows.there() == [ROW, {"Requests": 3}]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (ROW, "array of objects"),
        ([1], "array of objects"),
        (b"[", "no JSON"),
        ([ROW, {"Colour": "red"}], "no column Colour"),
        ([{"BytesSent": "many"}], "BytesSent is no long"),
        ([{"BytesSent": 1.5}], "BytesSent is no long"),
        ([{"CertificateDaysLeft": 2**31}], "CertificateDaysLeft is no int"),
        ([{"Stopped": 1}], "Stopped is no boolean"),
        ([{"Requests": True}], "Requests is no long"),
        ([{"TimeGenerated": "now"}], "TimeGenerated is no datetime"),
    ],
)
def test_what_does_not_fit_the_stream_is_refused_as_a_whole(
    rows: Rows, body: object, says: str
) -> None:
    reply = rows.post(body)
    assert reply.status_code == 400
    assert says in reply.json()["error"]["message"]
    assert rows.there() == []


def test_other_rules_streams_versions_and_types_are_refused(rows: Rows) -> None:
    assert rows.post(rule="dcr-9").status_code == 404
    assert rows.post(rule="dcr-2").status_code == 404  # of another end point
    assert rows.post(stream="Custom-other_CL").status_code == 400
    assert rows.post(version="2016-04-01").status_code == 400
    assert rows.post(Content_Type="text/plain").status_code == 415
    assert rows.post([{"Instance": "x" * 1024 * 1024}]).status_code == 413
    assert rows.there() == []


def test_whoever_has_no_right_posts_nothing(rows: Rows) -> None:
    issuer = rows.issuer
    assert rows.post(token="").status_code == 401
    assert rows.post(token=issuer.token(PRINCIPAL, AUDIENCE, seconds=-5)).status_code == 401
    assert rows.post(token=issuer.token(PRINCIPAL, "https://monitor.azure.cn")).status_code == 401
    stranger = rows.post(token=issuer.token("99999999-9999-4999-8999-999999999999", AUDIENCE))
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (403, "OperationFailed")
    assert rows.there() == []


def test_the_end_point_takes_posts_only(rows: Rows) -> None:
    reply = httpx.get(
        f"https://{rows.service.address}/",
        verify=False,  # noqa: S501
    )
    assert (reply.status_code, reply.headers["Allow"]) == (405, "POST")
