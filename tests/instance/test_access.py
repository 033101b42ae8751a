from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.instance.lists import ListServer
from tests.instance.pki import Authority
from tests.instance.world import FQDN, TOKEN_KEY, World, bearer, token

PREVIOUS_KEY = "the-token-key-of-last-month-is-still-taken"
DAY = 24 * 3600
NOW = int(time.time())

Files = tuple[str, str]


class Clients:
    """Client certificates of every kind, and who issued them."""

    def __init__(self, folder: Path) -> None:
        self.root = Authority("Root of the clients")
        self.below = Authority("Issuer below the root", self.root)
        self.good = self.root.issue("good")
        self.revoked = self.root.issue("revoked")
        self._folder = folder
        self.files: dict[str, Files] = {
            "good": self.good.files(folder, "good"),
            "below": self.below.issue("below").files(folder, "below"),
            "expired": self.root.issue("expired", days=-1).files(folder, "expired"),
            "revoked": self.revoked.files(folder, "revoked"),
            "foreign": Authority("Root of the clients").issue("foreign").files(folder, "foreign"),
            "self-signed": Authority("alone").issue("alone").files(folder, "alone"),
        }


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def lists() -> Generator[ListServer]:
    with ListServer() as server:
        yield server


@pytest.fixture(scope="module")
def guarded(
    make_world: Callable[[], World], clients: Clients, lists: ListServer
) -> Generator[World]:
    """A service that takes tokens of two keys and client certificates."""
    world = make_world()
    lists.put("/root.crl", clients.root.revoke([clients.revoked.certificate.serial_number]))
    lists.put("/below.crl", clients.below.revoke())
    world.access |= {
        "tokenKeys": [TOKEN_KEY, PREVIOUS_KEY],
        "clientTrustRoots": clients.root.pem + clients.below.pem,
        "revocationLists": [lists.url("/root.crl"), lists.url("/below.crl")],
    }
    world.get_ready()
    world.publish("apps/one.txt", b"one")
    world.publish("apps2/two.txt", b"two")
    yield world
    world.stop()


def ask(
    world: World,
    path: str = "/apps/one.txt",
    *,
    certificate: Files | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    with world.client(certificate) as client:
        return client.get(path, headers=headers)


def signed(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token that no library would make, with a right signature all the same."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    ]
    text = b".".join(parts)
    mac = hmac.new(TOKEN_KEY.encode(), text, hashlib.sha256).digest()
    return b".".join([text, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def test_without_anything_the_answer_is_401_and_says_what_is_needed(guarded: World) -> None:
    reply = ask(guarded)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["x-clouddp-reason"] == "a token or a client certificate is needed"


def test_who_has_no_right_learns_nothing_about_what_exists(guarded: World) -> None:
    here, missing = ask(guarded), ask(guarded, "/apps/missing.txt")
    assert (here.status_code, here.text) == (missing.status_code, missing.text)


@pytest.mark.parametrize(
    "sent",
    [
        lambda good: {"headers": {"Authorization": f"Bearer {good}"}},
        lambda good: {"headers": {"Authorization": f"bearer {good}"}},
        lambda good: {"params": {"token": good}},
        lambda good: {"params": {"token": good}, "headers": {"Authorization": "MSXBL foreign"}},
        lambda good: {"params": {"token": good}, "headers": {"Authorization": "Bearer a.b.c"}},
        lambda good: {"params": {"token": "a.b.c"}, "headers": {"Authorization": f"Bearer {good}"}},
    ],
)
def test_a_good_token_is_taken_wherever_it_is_and_whatever_is_beside_it(
    guarded: World, sent: Callable[[str], dict[str, Any]]
) -> None:
    with guarded.client() as client:
        reply = client.get("/apps/one.txt", **sent(token()))
    assert (reply.status_code, reply.text) == (200, "one")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iat": NOW, "exp": NOW + DAY},
        {"nbf": NOW - 5},
        {"path": "/"},
        {"path": "/apps"},
        {"path": "/apps/"},
        {"path": "/apps/one.txt"},
        {"sub": "someone", "aud": "somewhere"},
    ],
)
def test_a_token_that_keeps_the_rules_is_taken(guarded: World, claims: dict[str, Any]) -> None:
    assert ask(guarded, headers=bearer(token(**claims))).status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iat": NOW - 7200, "exp": NOW - 3600}, "the token has expired"),
        ({"exp": None}, "the token lacks exp or iat"),
        ({"iat": None}, "the token lacks exp or iat"),
        ({"exp": str(NOW + 60)}, "the token lacks exp or iat"),
        ({"iat": NOW, "exp": NOW + DAY + 1}, "the token lives longer than 24 hours"),
        ({"iat": NOW + 1800, "exp": NOW + 3600}, "the token is from the future"),
        ({"nbf": NOW + 1800}, "the token is not valid yet"),
        ({"nbf": "soon"}, "the token is not valid yet"),
        ({"path": "/other"}, "the token is for another path"),
        ({"path": "/app"}, "the token is for another path"),
        ({"path": "/apps2/"}, "the token is for another path"),
        ({"path": ""}, "the token is for another path"),
        ({"path": ["/apps"]}, "the token is for another path"),
    ],
)
def test_a_token_that_breaks_a_rule_is_refused_with_the_reason(
    guarded: World, claims: dict[str, Any], reason: str
) -> None:
    text = token(**claims)
    with guarded.client() as client:
        for reply in (
            client.get("/apps/one.txt", headers=bearer(text)),
            client.get("/apps/one.txt", params={"token": text}),
        ):
            assert reply.status_code == 403
            assert reply.headers["x-clouddp-reason"] == reason


def test_a_token_for_one_folder_is_not_led_out_of_it(guarded: World) -> None:
    sent = bearer(token(path="/apps"))
    assert ask(guarded, "/apps/one.txt", headers=sent).status_code == 200
    for path in ("/apps2/two.txt", "/apps/../apps2/two.txt", "/apps%2F..%2Fapps2/two.txt"):
        assert ask(guarded, path, headers=sent).status_code == 403
    # Storage takes a backslash for a slash, and whoever checks the path would not have seen it.
    for path in ("/apps/..%5Capps2/two.txt", "/apps%5C..%5Capps2%5Ctwo.txt"):
        assert ask(guarded, path, headers=sent).status_code in (403, 404)


@pytest.mark.parametrize(
    "text",
    [
        token(key="a-key-that-nobody-here-has-ever-heard-of"),
        token(key=TOKEN_KEY * 2, algorithm="HS512"),
        signed({"alg": "none"}, {"iat": NOW, "exp": NOW + 60}),
        signed({"alg": "HS256", "crit": ["b64"]}, {"iat": NOW, "exp": NOW + 60}),
        signed({"alg": "hs256"}, {"iat": NOW, "exp": NOW + 60}),
        token().rsplit(".", 1)[0] + ".",
        token().rsplit(".", 1)[0],
        ".".join([*token().split(".")[:2], token(exp=NOW + 99).split(".")[2]]),
        token() + "A",
        "..",
        "a",
        "x" * 9000,
        signed({"alg": "HS256"}, {"iat": NOW, "exp": NOW + 60, "pad": "x" * 9000}),
    ],
    ids=lambda text: text[-12:],
)
def test_a_forged_token_is_refused(guarded: World, text: str) -> None:
    assert ask(guarded, headers=bearer(text)).status_code == 403


def test_no_change_of_a_single_letter_leaves_a_token_good(guarded: World) -> None:
    good = token()
    chance = random.Random(1)  # noqa: S311
    with guarded.client() as client:
        for place in chance.sample(range(len(good)), 60):
            other = chance.choice([letter for letter in "ABCxyz012-_." if letter != good[place]])
            changed = good[:place] + other + good[place + 1 :]
            assert client.get("/apps/one.txt", headers=bearer(changed)).status_code == 403
        assert client.get("/apps/one.txt", headers=bearer(good)).status_code == 200


def test_a_token_ends_when_it_says_though_the_answer_was_kept(guarded: World) -> None:
    sent = bearer(token(exp=int(time.time()) + 3))
    end = time.monotonic() + 3
    with guarded.client() as client:
        status = client.get("/apps/one.txt", headers=sent).status_code
        assert status == 200
        while time.monotonic() < end + 0.2:
            client.get("/apps/one.txt", headers=sent)
        assert client.get("/apps/one.txt", headers=sent).status_code == 403


def test_a_key_that_looks_like_words_of_the_templates_is_a_key(world: World) -> None:
    key = f"@CACHE@{TOKEN_KEY}@ANYTHING@"
    world.access["tokenKeys"] = [key]
    world.get_ready()
    world.publish("one.txt", b"one")
    assert ask(world, "/one.txt", headers=bearer(token(key=key))).status_code == 200


def test_two_keys_are_valid_at_once_and_one_that_goes_is_refused_at_once(guarded: World) -> None:
    old, new = bearer(token(key=PREVIOUS_KEY)), bearer(token())
    assert ask(guarded, headers=old).status_code == 200
    kept = dict(guarded.access)
    said = guarded.messages().count("nginx serves with version")
    guarded.access["tokenKeys"] = [TOKEN_KEY]
    guarded.put_settings()
    guarded.agent_does(
        lambda: guarded.messages().count("nginx serves with version") > said,
        "the new settings are in force",
    )
    # A yes of a moment ago counts no more.
    assert ask(guarded, headers=old).status_code == 403
    assert ask(guarded, headers=new).status_code == 200
    guarded.access = kept
    guarded.put_settings()
    guarded.agent_does(lambda: ask(guarded, headers=old).status_code == 200, "the old key is back")


@pytest.mark.parametrize(("name", "asked"), [(None, False), (FQDN, True)])
def test_only_under_the_services_name_is_anybody_asked_for_a_certificate(
    guarded: World, name: str | None, asked: bool
) -> None:
    """The balancer's probe, which sends no name, does no mutual authentication."""
    named = ["-servername", name] if name else ["-noservername"]
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{guarded.port}", "-tls1_2", *named],
        input="",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ("Client Certificate Types" in shown) is asked
    assert ("Root of the clients" in shown) is asked


def test_an_answer_by_the_settings_of_another_version_is_not_kept(guarded: World) -> None:
    """While nginx turns to new settings, a worker of the one version may ask one of the other."""
    run = guarded.instance.folder / "run/clouddp"
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(run / "control.sock"))) as control:
        version = control.get("http://control/version").text
    kept = {}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(run / "gate.sock"))) as gate:
        for asking in (version, "another"):
            reply = gate.get(
                "http://gate/apps/one.txt", headers={**bearer(token()), "X-Version": asking}
            )
            assert reply.status_code == 204
            kept[asking] = int(reply.headers["x-accel-expires"])
    assert kept == {version: 5, "another": 0}
    sent = bearer(token(jti="kept"))
    assert ask(guarded, headers=sent).status_code == 200
    answers = [path.read_bytes() for path in (run / "granted").rglob("*") if path.is_file()]
    assert any(sent["Authorization"].encode() in each for each in answers)


@pytest.mark.parametrize("kind", ["good", "below"])
def test_a_client_certificate_of_the_roots_is_taken(
    guarded: World, clients: Clients, kind: str
) -> None:
    reply = ask(guarded, certificate=clients.files[kind])
    assert (reply.status_code, reply.text) == (200, "one")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("foreign", ""),
        ("self-signed", ""),
        ("expired", "certificate has expired"),
        ("revoked", "certificate revoked"),
    ],
)
def test_another_client_certificate_is_refused_with_the_reason(
    guarded: World, clients: Clients, kind: str, words: str
) -> None:
    for path in ("/apps/one.txt", "/apps/missing.txt"):
        reply = ask(guarded, path, certificate=clients.files[kind])
        assert reply.status_code == 403
        reason = reply.headers["x-clouddp-reason"]
        assert reason.startswith("the client certificate is refused: ")
        assert words in reason


@pytest.mark.parametrize("kind", ["foreign", "self-signed", "expired", "revoked"])
def test_a_bad_client_certificate_takes_nothing_from_a_good_token(
    guarded: World, clients: Clients, kind: str
) -> None:
    certificate = clients.files[kind]
    assert ask(guarded, certificate=certificate, headers=bearer(token())).text == "one"
    with guarded.client(certificate) as client:
        sent = bearer(token()) | {"Range": "bytes=1-1"}
        assert client.get("/apps/one.txt", headers=sent).text == "n"
        assert client.head("/apps/one.txt", headers=bearer(token())).status_code == 200
        assert client.post("/apps/one.txt", headers=bearer(token())).status_code == 405


@pytest.mark.parametrize("kind", ["good", "foreign", "expired", "revoked"])
def test_the_two_pages_ignore_client_certificates(
    guarded: World, clients: Clients, kind: str
) -> None:
    for page in ("/healthz", "/readyz"):
        assert ask(guarded, page, certificate=clients.files[kind]).status_code == 200
    for inside in ("/healthz/gate", "/healthz/straight"):
        assert ask(guarded, inside, certificate=clients.files[kind]).status_code in (403, 404)


def test_a_certificate_that_is_revoked_today_is_refused_with_the_next_list(
    guarded: World, clients: Clients, lists: ListServer
) -> None:
    fresh = clients.root.issue("fresh")
    files = fresh.files(guarded.folder, "fresh")
    assert ask(guarded, certificate=files).status_code == 200
    serials = [each.certificate.serial_number for each in (clients.revoked, fresh)]
    lists.put("/root.crl", clients.root.revoke(serials))
    # A new agent asks for the lists at once; a running one does each hour.
    assert guarded.instance.systemctl("restart", "clouddp-agent") == 0
    guarded.agent_does(
        lambda: ask(guarded, certificate=files).status_code == 403, "the new list is in force"
    )


def test_without_a_list_of_every_authority_revocation_is_off_and_said_to_be(
    guarded: World, clients: Clients
) -> None:
    kept = dict(guarded.access)
    guarded.access["revocationLists"] = guarded.access["revocationLists"][:1]
    guarded.put_settings()
    revoked, good = clients.files["revoked"], clients.files["good"]
    guarded.agent_does(
        lambda: ask(guarded, certificate=revoked).status_code == 200, "revocation is off"
    )
    assert "there is no revocation list of CN=Issuer below the root" in guarded.messages()
    assert ask(guarded, certificate=good).status_code == 200
    guarded.access = kept
    guarded.put_settings()
    guarded.agent_does(
        lambda: ask(guarded, certificate=revoked).status_code == 403, "revocation is on again"
    )


def test_with_certificates_alone_who_has_none_is_refused(guarded: World, clients: Clients) -> None:
    kept = dict(guarded.access)
    guarded.access["tokenKeys"] = []
    guarded.put_settings()
    guarded.agent_does(lambda: ask(guarded).status_code == 403, "tokens are no way in any more")
    assert ask(guarded).headers["x-clouddp-reason"] == "a client certificate is needed"
    assert ask(guarded, headers=bearer(token())).status_code == 403
    assert ask(guarded, certificate=clients.files["good"]).status_code == 200
    guarded.access = kept
    guarded.put_settings()
    guarded.agent_does(lambda: ask(guarded).status_code == 401, "tokens are a way in again")


def test_anonymous_clients_get_content_whatever_they_bring(
    guarded: World, clients: Clients
) -> None:
    kept = dict(guarded.access)
    guarded.access["anonymous"] = True
    guarded.put_settings()
    guarded.agent_does(lambda: ask(guarded).status_code == 200, "anonymous clients are let in")
    assert ask(guarded, headers=bearer("a.b.c")).status_code == 200
    assert ask(guarded, headers={"Authorization": "MSXBL of Windows' own"}).status_code == 200
    assert ask(guarded, certificate=clients.files["foreign"]).status_code == 200
    guarded.access = kept
    guarded.put_settings()
    guarded.agent_does(lambda: ask(guarded).status_code == 401, "they are not any more")


def test_tokens_and_keys_are_nowhere_in_the_logs(guarded: World) -> None:
    secret = token(path="/apps")
    guarded.publish("apps/big.bin", bytes(9 * 2**20))
    with guarded.client() as client:
        first = {"Range": "bytes=0-9"}
        assert client.get("/apps/big.bin", params={"token": secret}, headers=first).is_success
    guarded.relay.refuse = True
    guarded.relay.cut()
    # A connection of its own: the first one ends where the rest of its slice is cut off.
    with guarded.client() as client:
        try:
            second = {"Range": f"bytes={2**23}-"}
            reply = client.get("/apps/big.bin", params={"token": secret}, headers=second)
        finally:
            guarded.relay.refuse = False
    assert reply.status_code == 503
    # nginx writes the whole line of a request that failed.
    guarded.wait_for_message("GET /apps/big.bin?token=... HTTP")
    said = guarded.messages()
    logs = guarded.instance.folder.glob("var/log/**/*")
    written = "".join(log.read_text() for log in logs if log.is_file())
    for hidden in (secret, secret.split(".")[2], TOKEN_KEY, PREVIOUS_KEY, "PRIVATE KEY"):
        assert hidden not in said + written
