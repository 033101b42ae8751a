from __future__ import annotations

import ssl
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from sandbox.dataplane.metadata import MetadataService
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.vault import VaultSecret, VaultService
from tests.instance.pki import Authority
from tests.instance.world import CLIENT_ID, PRINCIPAL

AUDIENCE = "https://vault.azure.net"
QUERY = {"api-version": "2018-02-01", "resource": AUDIENCE, "client_id": CLIENT_ID}
METADATA = {"Metadata": "true"}


@pytest.fixture
def metadata(issuer: TokenIssuer) -> Generator[MetadataService]:
    service = MetadataService("127.0.0.1", issuer=issuer, principal_of={CLIENT_ID: PRINCIPAL}.get)
    with service:
        yield service


@pytest.fixture
def vault(authority: Authority, issuer: TokenIssuer, tmp_path: Path) -> Generator[VaultService]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("*.vault.azure.net", "127.0.0.1").files(tmp_path, "v"))
    service = VaultService(
        "127.0.0.1",
        tls=tls,
        issuer=issuer,
        audience=AUDIENCE,
        secret=lambda vault, name: (
            VaultSecret("value") if (vault, name) == ("one", "here") else None
        ),
        admits=lambda _, principal: principal == PRINCIPAL,
    )
    with service:
        yield service


def ask_metadata(service: MetadataService, **changes: str) -> httpx.Response:
    headers = METADATA | {k: v for k, v in changes.items() if "-" in k}
    query = QUERY | {k: v for k, v in changes.items() if "-" not in k}
    return httpx.get(
        f"http://{service.address}/metadata/identity/oauth2/token", params=query, headers=headers
    )


def ask_vault(service: VaultService, path: str, token: str, version: str = "7.4") -> httpx.Response:
    return httpx.get(
        f"https://{service.address}{path}?api-version={version}",
        headers={"Host": "one.vault.azure.net", "Authorization": f"Bearer {token}".strip()},
        verify=False,  # noqa: S501
    )


def test_a_token_is_for_the_identity_and_the_audience_that_were_asked_for(
    metadata: MetadataService, issuer: TokenIssuer
) -> None:
    values = ask_metadata(metadata).json()
    assert issuer.principal(values["access_token"], AUDIENCE) == PRINCIPAL
    assert issuer.principal(values["access_token"], "https://storage.azure.com/") is None
    assert all(isinstance(value, str) for value in values.values())


def test_requests_that_the_real_service_refuses_are_refused(metadata: MetadataService) -> None:
    assert ask_metadata(metadata, **{"X-Forwarded-For": "1.2.3.4"}).status_code == 400
    url = f"http://{metadata.address}/metadata/identity/oauth2/token"
    assert httpx.get(url, params=QUERY).status_code == 400
    assert ask_metadata(metadata, client_id="of-another-machine").status_code == 400
    assert ask_metadata(metadata, resource="").status_code == 400


def test_too_many_requests_are_told_to_wait(metadata: MetadataService) -> None:
    url = f"http://{metadata.address}/metadata/identity/oauth2/token"
    with ThreadPoolExecutor(10) as pool, httpx.Client(params=QUERY, headers=METADATA) as client:
        replies = list(pool.map(lambda _: client.get(url).status_code, range(60)))
    assert set(replies) == {200, 429}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/secrets/here", 200),
        ("/secrets/missing", 404),
        ("/secrets/here/another-version", 404),
        ("/keys/here", 404),
    ],
)
def test_a_vault_gives_the_secrets_that_it_has(
    vault: VaultService, issuer: TokenIssuer, path: str, status: int
) -> None:
    assert ask_vault(vault, path, issuer.token(PRINCIPAL, AUDIENCE)).status_code == status


def test_a_vault_refuses_whoever_has_no_right(vault: VaultService, issuer: TokenIssuer) -> None:
    def status(token: str) -> int:
        return ask_vault(vault, "/secrets/here", token).status_code

    assert status("") == 401
    assert status(issuer.token(PRINCIPAL, "https://storage.azure.com/")) == 401
    assert status(issuer.token(PRINCIPAL, AUDIENCE, seconds=-5)) == 401
    assert status(TokenIssuer().token(PRINCIPAL, AUDIENCE)) == 401
    assert status(issuer.token("someone-else", AUDIENCE)) == 403


def test_a_secrets_id_changes_with_its_value() -> None:
    assert VaultSecret("a").version != VaultSecret("b").version
    assert VaultSecret("a").version == VaultSecret("a").version
