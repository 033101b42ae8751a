from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from azure.storage.blob import BlobBlock

from tests.instance.world import World, bearer, token, until

SLICE = 8 * 2**20
SIZE = 2 * SLICE + 3_000_000
CONTENT = os.urandom(SIZE)
SEEN_SECONDS = 10


@pytest.fixture(scope="module", autouse=True)
def published(service: World) -> None:
    service.publish("apps/setup.bin", CONTENT, "application/x-msdownload")


def raw(service: World, target: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Ask for a target exactly as it is written, which no client library does."""
    tls = ssl.create_default_context(cafile=str(service.ca))
    with socket.create_connection(("127.0.0.1", service.port)) as plain:
        connection = http.client.HTTPConnection(service.fqdn)
        connection.sock = tls.wrap_socket(plain, server_hostname=service.fqdn)
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", service.fqdn)
        connection.putheader("Authorization", f"Bearer {token()}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def as_much_as_comes(service: World, path: str) -> bytes:
    """What a client has in hand when the connection ends, whole or not."""
    received = b""
    with (
        contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError),
        service.client() as client,
        client.stream("GET", path, headers=bearer()) as reply,
    ):
        for chunk in reply.iter_raw():
            received += chunk
    return received


def of_clients(service: World, before: int) -> list[str]:
    """What storage was asked since then, but for the agent's own question after the container."""
    asked = service.storage.requests()[before:]
    return [line for line in asked if "?restype=container " not in line]


def asked_of_storage(service: World, name: str) -> list[str]:
    return [line for line in service.storage.requests() if f"/{service.container}/{name} " in line]


def test_content_comes_whole_with_all_that_storage_knows_of_it(service: World) -> None:
    properties = service.blobs().get_blob_client("apps/setup.bin").get_blob_properties()
    reply = service.get("/apps/setup.bin")
    assert reply.status_code == 200
    assert reply.content == CONTENT
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["content-type"] == "application/x-msdownload"
    assert reply.headers["etag"].strip('"') == properties.etag.strip('"')
    assert reply.headers["accept-ranges"] == "bytes"
    modified = properties.last_modified.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert reply.headers["last-modified"] == modified


def test_head_says_what_get_would(service: World) -> None:
    head = service.get("/apps/setup.bin", method="HEAD")
    get = service.get("/apps/setup.bin")
    kept = ("content-length", "content-type", "etag", "last-modified", "accept-ranges")
    assert head.status_code == 200
    assert head.content == b""
    assert [head.headers[name] for name in kept] == [get.headers[name] for name in kept]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("0-65535", 0, 65535),
        ("1000000-1065535", 1_000_000, 1_065_535),
        (f"{SLICE - 10}-{SLICE + 10}", SLICE - 10, SLICE + 10),
        (f"{SLICE}-", SLICE, SIZE - 1),
        ("-1000", SIZE - 1000, SIZE - 1),
        (f"{SIZE - 1}-{SIZE + 5}", SIZE - 1, SIZE - 1),
        (f"0-{SIZE * 9}", 0, SIZE - 1),
    ],
)
def test_a_range_is_exactly_what_was_asked(
    service: World, asked: str, first: int, last: int
) -> None:
    reply = service.get("/apps/setup.bin", Range=f"bytes={asked}")
    assert reply.status_code == 206
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert reply.headers["content-length"] == str(last - first + 1)
    assert reply.content == CONTENT[first : last + 1]


@pytest.mark.parametrize("start", [SIZE, SIZE + 1, 3 * SLICE, 10**12])
def test_a_range_past_the_end_is_refused_with_the_size(service: World, start: int) -> None:
    reply = service.get("/apps/setup.bin", Range=f"bytes={start}-")
    assert reply.status_code == 416
    assert reply.headers.get_list("content-range") == [f"bytes */{SIZE}"]


def test_several_ranges_in_one_request_get_all_of_them(service: World) -> None:
    reply = service.get("/apps/setup.bin", Range="bytes=0-0,500-999")
    assert reply.status_code == 200
    assert reply.content == CONTENT


def test_a_range_of_another_version_is_not_given(service: World) -> None:
    etag = service.get("/apps/setup.bin", method="HEAD").headers["etag"]
    one = {"Range": "bytes=5-9"}
    same = service.get("/apps/setup.bin", **one, **{"If-Range": etag})
    other = service.get("/apps/setup.bin", **one, **{"If-Range": '"another"'})
    assert (same.status_code, same.content) == (206, CONTENT[5:10])
    assert (other.status_code, other.content) == (200, CONTENT)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("asked_for", ["100-199", f"{SLICE + 5}-{SLICE + 104}", ""])
def test_whoever_goes_on_with_another_version_is_told_that_it_has_changed(
    service: World, cached: bool, asked_for: str
) -> None:
    name = f"conditional-{cached}-{asked_for}.bin"
    old, new = os.urandom(SIZE), os.urandom(SIZE)
    service.publish(name, old)
    before = service.get(f"/{name}", method="HEAD").headers
    time.sleep(1.1)  # a time in HTTP is of a whole second
    service.publish(name, new)
    until(
        "it is the newest",
        lambda: service.get(f"/{name}", method="HEAD").headers["etag"] != before["etag"],
    )
    if cached:
        assert service.get(f"/{name}").content == new
    now = service.get(f"/{name}", method="HEAD").headers
    asked = {"Range": f"bytes={asked_for}"} if asked_for else {}
    first, last = map(int, asked_for.split("-")) if asked_for else (0, SIZE - 1)
    for head in (before, now):
        for condition in (
            {"If-Match": f'"other", {head["etag"]}'},
            {"If-Unmodified-Since": head["last-modified"]},
        ):
            reply = service.get(f"/{name}", **asked, **condition)
            if head is before:
                assert (reply.status_code, reply.text) == (412, "The content has changed.\n")
            else:
                assert reply.status_code == (206 if asked_for else 200)
                assert reply.content == new[first : last + 1]
    assert service.get(f"/{name}", **asked, **{"If-Match": "*"}).is_success


def test_what_a_client_has_already_is_not_sent_again(service: World) -> None:
    head = service.get("/apps/setup.bin", method="HEAD").headers
    for condition in (
        {"If-None-Match": head["etag"]},
        {"If-Modified-Since": head["last-modified"]},
    ):
        reply = service.get("/apps/setup.bin", **condition)
        assert (reply.status_code, reply.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a b/c d.txt", "/a%20b/c%20d.txt"),
        ("grüße/日本.txt", "/gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC.txt"),
        ("plus+plus.txt", "/plus+plus.txt"),
        ("plus+encoded.txt", "/plus%2Bencoded.txt"),
        ("100%.txt", "/100%25.txt"),
        ("100%20.txt", "/100%2520.txt"),
        ("what?#.txt", "/what%3F%23.txt"),
        ("folder/inside.txt", "/folder%2Finside.txt"),
        ("two//slashes.txt", "/two//slashes.txt"),
        ("semi;colon,and=more&(x)'!~$@.txt", "/semi;colon,and=more&(x)'!~$@.txt"),
        ('quote"brackets[1]{2}.txt', "/quote%22brackets%5B1%5D%7B2%7D.txt"),
        ("dots/...txt", "/dots/...txt"),
        ("dots/resolved.txt", "/dots/other/../resolved.txt"),
        ("dots/hidden.txt", "/dots/%2e/other/%2e%2e/hidden.txt"),
    ],
)
def test_a_name_is_found_however_it_is_written(service: World, name: str, target: str) -> None:
    content = f"this is {name}".encode()
    service.publish(name, content, "text/plain")
    status, _, body = raw(service, target)
    assert (status, body) == (200, content)


@pytest.mark.parametrize(
    "target",
    [
        "/../other/secret",
        "/%2e%2e/other/secret",
        "/..%2fother/secret",
        "/a/../../other/secret",
        "/%00",
        "/apps/setup.bin%00",
        "/%0d%0aX-Injected:%20yes",
        "/healthz/gate",
        "/healthz/straight",
        "/healthz/newest",
        "/healthz/last-known",
        "/healthz/",
        "/apps%5Csetup.bin",
        "/apps/..%5Csetup.bin",
        "/apps/setup.bin/",
        "/" + "x" * 2000,
    ],
)
def test_what_is_no_name_of_content_is_refused(service: World, target: str) -> None:
    before = len(service.storage.requests())
    status, headers, body = raw(service, target)
    assert status in (400, 404)
    assert "x-injected" not in headers
    assert b"Error" not in body
    asked = of_clients(service, before)
    assert all(f'"HEAD /{service.container}/' in line for line in asked)


@pytest.mark.parametrize(
    "target", ["/", "/?restype=container&comp=list", "/apps", "/apps/", "/?comp=list", "//"]
)
def test_nothing_is_ever_listed(service: World, target: str) -> None:
    status, headers, body = raw(service, target)
    assert status == 404
    assert b"setup.bin" not in body
    assert "location" not in headers


def test_what_a_client_adds_to_the_address_never_reaches_storage(service: World) -> None:
    before = len(service.storage.requests())
    service.publish("query.txt", b"plain")
    status, _, body = raw(service, "/query.txt?comp=metadata&snapshot=x&sig=y&token=z")
    assert (status, body) == (200, b"plain")
    asked = [line for line in of_clients(service, before) if "PUT" not in line]
    assert asked
    assert not any("?" in line for line in asked)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "BITS_POST"])
def test_other_methods_are_refused_with_those_that_are_allowed(service: World, method: str) -> None:
    status, headers, _ = raw(service, "/apps/setup.bin", method)
    assert status == 405
    assert headers["allow"] == "GET, HEAD"


def test_missing_content_is_not_found_and_nothing_of_storage_shows(service: World) -> None:
    for reply in (service.get("/apps/missing.bin"), service.get("/apps/setup.bin")):
        assert not [name for name in reply.headers if name.startswith("x-ms-")]
        assert reply.headers["server"] == "nginx"
    missing = service.get("/apps/missing.bin")
    assert missing.status_code == 404
    assert "BlobNotFound" not in missing.text


def test_an_empty_blob_is_served_as_one(service: World) -> None:
    service.publish("empty.txt", b"", "text/plain")
    reply = service.get("/empty.txt")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-length"] == "0"
    assert reply.headers["content-type"] == "text/plain"
    assert service.get("/empty.txt", method="HEAD").status_code == 200


def test_content_is_read_from_storage_once(service: World) -> None:
    service.publish("once.bin", CONTENT)
    for _ in range(3):
        assert service.get("/once.bin").content == CONTENT
    assert service.get("/once.bin", Range="bytes=100-200").status_code == 206
    assert len([line for line in asked_of_storage(service, "once.bin") if "GET" in line]) == 3


def test_clients_that_come_at_once_reach_storage_once(service: World) -> None:
    service.publish("crowd.bin", CONTENT)
    together = threading.Barrier(12)

    def download(_: int) -> bytes:
        with service.client() as client:
            together.wait()
            return client.get("/crowd.bin", headers=bearer()).content

    service.relay.delay = 0.02  # so that none is done before the others have come
    try:
        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(download, range(12)))
    finally:
        service.relay.delay = 0.0
    assert all(reply == CONTENT for reply in replies)
    asked = asked_of_storage(service, "crowd.bin")
    assert len([line for line in asked if "GET" in line]) == 3
    assert len([line for line in asked if "HEAD" in line]) == 1


def test_a_changed_blob_is_seen_soon_and_never_mixed_with_the_old(service: World) -> None:
    versions = [os.urandom(SIZE), os.urandom(SIZE)]
    service.publish("changing.bin", versions[0])
    # Only the first slice of the old version is cached.
    assert service.get("/changing.bin", Range="bytes=0-99").content == versions[0][:100]
    service.publish("changing.bin", versions[1])
    changed = time.monotonic()
    whole = b""
    while whole != versions[1]:
        assert time.monotonic() < changed + SEEN_SECONDS
        whole = as_much_as_comes(service, "/changing.bin")
        # The start of the old one, broken off where it cannot be gone on with, or the new one.
        assert whole in (versions[0][: len(whole)], versions[1])
    assert service.get("/changing.bin", Range="bytes=0-99").content == versions[1][:100]


def test_a_blob_that_changes_between_two_requests_is_given_as_it_is_now(service: World) -> None:
    old, new = os.urandom(SIZE), os.urandom(SIZE)
    service.publish("replaced.bin", old)
    blob = service.blobs().get_blob_client("replaced.bin")
    blob.stage_block("new", new)
    etag = service.get("/replaced.bin", Range="bytes=0-9").headers["etag"]
    blob.commit_block_list([BlobBlock("new")])
    # The old version is still the newest that nginx knows, and this part of it is not cached.
    reply = service.get("/replaced.bin", Range=f"bytes={SLICE}-{SLICE + 9}")
    assert reply.status_code == 206
    assert reply.content == new[SLICE : SLICE + 10]
    assert reply.headers["etag"] != etag
    # Storage was asked for the old version, and refused: nothing of the new one passes for it.
    assert any('" 412 ' in line for line in asked_of_storage(service, "replaced.bin"))


def test_the_end_of_a_file_of_many_gigabytes_is_reached(service: World) -> None:
    block = os.urandom(2**20) * 64
    blob = service.blobs().get_blob_client("huge.bin")
    blob.stage_block("block", block)
    count = 75
    blob.commit_block_list([BlobBlock("block") for _ in range(count)])
    size = count * len(block)
    assert size > 2**32
    reply = service.get("/huge.bin", Range="bytes=-1000")
    assert reply.status_code == 206
    assert reply.headers["content-range"] == f"bytes {size - 1000}-{size - 1}/{size}"
    assert reply.content == block[-1000:]


def test_http_2_is_spoken(service: World) -> None:
    with service.client(http2=True) as client:
        reply = client.get("/apps/setup.bin", headers=bearer())
    assert reply.http_version == "HTTP/2"
    assert hashlib.sha256(reply.content).digest() == hashlib.sha256(CONTENT).digest()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "ciphers", "spoken"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0", False),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", False),
        (ssl.TLSVersion.TLSv1_2, "AES256-SHA:AES128-GCM-SHA256", False),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256", False),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+CHACHA20", True),
        (ssl.TLSVersion.TLSv1_3, "DEFAULT", True),
    ],
)
def test_only_modern_tls_is_spoken(
    service: World, version: ssl.TLSVersion, ciphers: str, spoken: bool
) -> None:
    tls = ssl.create_default_context(cafile=str(service.ca))
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = version
    tls.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", service.port)) as plain:
        if not spoken:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                tls.wrap_socket(plain, server_hostname=service.fqdn)
            return
        with tls.wrap_socket(plain, server_hostname=service.fqdn) as connected:
            assert connected.version() == version.name.replace("_", ".")


def test_the_access_log_is_json_without_tokens(service: World) -> None:
    secret = token(path="/")
    with service.client() as client:
        client.get("/apps/setup.bin", params={"token": secret}, headers={"Range": "bytes=0-9"})
        client.get("/logged.txt", headers={"Authorization": f"Bearer {secret}"})
    log = service.instance.folder / "var/log/clouddp/access.log"
    text = until("the log is written", lambda: "/logged.txt" in log.read_text() and log.read_text())
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"path": "/apps/setup.bin", "status": 206, "bytes": 10, "cache": "HIT"}.items() <= next(
        line for line in reversed(lines) if line["bytes"] == 10
    ).items()
    assert secret not in text
    assert secret.split(".")[2] not in text


def test_the_two_pages_tell_a_stranger_nothing_else(service: World) -> None:
    healthy, ready = service.page("/healthz"), service.page("/readyz")
    assert healthy.status_code == ready.status_code == 200
    assert healthy.json() == {"ApplicationHealthState": "Healthy"}
    assert ready.json() == {"ready": True}
    for page in (healthy, ready):
        assert page.headers["content-type"] == "application/json"
        assert page.headers["server"] == "nginx"
