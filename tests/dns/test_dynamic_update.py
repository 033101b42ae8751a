"""Dynamic updates of a real BIND: only our own record is ever touched."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable

import dns.message
import dns.query
import dns.tsig
import dns.update
import pytest

from components.dns.updates import (
    Cname,
    NameInUse,
    UpdateFailed,
    Zone,
)
from tests.dns.servers import ADDRESS, KEY, KEY_NAME, OTHER_KEY, Bind, free_port

OURS = Cname("dp.eu.contoso.test", "dp1.region.cloudapp.test", 300)
ELSEWHERE = Cname("dp.eu.contoso.test", "elsewhere.fabrikam.test", 300)
RECORDS = "www A 203.0.113.5\nmail MX 10 www\nold CNAME elsewhere.fabrikam.test.\n_x.ent TXT deep"


@pytest.fixture
def server(bind: Callable[..., Bind]) -> Bind:
    return bind(zones={"contoso.test": RECORDS})


@pytest.fixture
def zone(server: Bind) -> Zone:
    return zone_at(server)


def zone_at(server: Bind) -> Zone:
    return Zone(
        name="contoso.test",
        server=server.server,
        key_name=KEY_NAME,
        key_algorithm="hmac-sha256",
        key_secret=KEY,
    )


def by_hand(server: Bind, record: Cname | None) -> None:
    """Somebody puts this alias in place, or removes what is there."""
    update = dns.update.UpdateMessage("contoso.test", keyring=dns.tsig.Key(KEY_NAME, KEY))
    update.delete(OURS.fqdn + ".")
    if record:
        update.add(OURS.fqdn + ".", record.ttl, "CNAME", record.target + ".")
    assert dns.query.tcp(update, server.address, 5, server.port).rcode() == 0


def test_a_record_is_made_changed_and_removed(zone: Zone) -> None:
    assert zone.read(OURS.fqdn) is None
    zone.create(OURS)
    assert zone.read(OURS.fqdn) == OURS
    changed = dataclasses.replace(OURS, target="dp2.region.cloudapp.test", ttl=60)
    zone.change(OURS, changed)
    assert zone.read(OURS.fqdn) == changed
    assert zone.remove(changed)
    assert zone.read(OURS.fqdn) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("www", "it has the A record 203.0.113.5"),
        ("mail", "it has the MX record 10 www.contoso.test."),
        ("old", "it is an alias (CNAME) of elsewhere.fabrikam.test"),
    ],
)
def test_a_foreign_record_is_never_overwritten(zone: Zone, name: str, found: str) -> None:
    wanted = dataclasses.replace(OURS, fqdn=f"{name}.contoso.test")
    before = zone.read(wanted.fqdn)
    with pytest.raises(UpdateFailed) as refused:
        zone.create(wanted)
    assert str(refused.value) == (
        f"{wanted.fqdn} is in use already in contoso.test on {zone.server}: {found}. Remove that "
        "record, or choose another serviceFqdn."
    )
    assert zone.read(wanted.fqdn) == before


@pytest.mark.parametrize(
    ("fqdn", "sentence"),
    [
        (
            "dp.child.contoso.test",
            (
                "dp.child.contoso.test lies in the zone child.contoso.test, delegated to "
                "ns.fabrikam.test: set dns.zone to that one and dns.server to its primary server, "
                "or choose another serviceFqdn."
            ),
        ),
        (
            "child.contoso.test",
            (
                "child.contoso.test is a zone of its own, delegated to ns.fabrikam.test: choose "
                "another serviceFqdn."
            ),
        ),
        (
            "dp.moved.contoso.test",
            (
                "dp.moved.contoso.test lies below moved.contoso.test, all of which leads to "
                "fabrikam.test (DNAME): choose another serviceFqdn."
            ),
        ),
    ],
)
def test_a_record_that_nobody_would_see_is_not_made(
    bind: Callable[..., Bind], fqdn: str, sentence: str
) -> None:
    records = f"{RECORDS}\nchild NS ns.fabrikam.test.\nmoved DNAME fabrikam.test."
    zone = zone_at(bind(zones={"contoso.test": records}))
    wanted = dataclasses.replace(OURS, fqdn=fqdn)
    for attempt in (zone.foresee, zone.create):
        with pytest.raises(NameInUse) as refused:
            attempt(wanted)
        assert str(refused.value) == sentence
    assert zone.read(fqdn) is None


def test_what_making_a_record_would_meet_is_told_and_nothing_changed(zone: Zone) -> None:
    zone.foresee(OURS)
    assert zone.read(OURS.fqdn) is None
    zone.create(OURS)
    zone.foresee(OURS)
    with pytest.raises(NameInUse, match=f"an alias .CNAME. of {OURS.target}"):
        zone.foresee(dataclasses.replace(OURS, target="dp2.region.cloudapp.test"))
    with pytest.raises(NameInUse, match=r"it has the A record 203\.0\.113\.5"):
        zone.foresee(dataclasses.replace(OURS, fqdn="www.contoso.test"))
    assert zone.read(OURS.fqdn) == OURS


def test_a_key_that_may_change_this_one_name_alone_is_enough(bind: Callable[..., Bind]) -> None:
    policy = f"grant {KEY_NAME} name {OURS.fqdn} CNAME;"
    zone = zone_at(bind(zones={"contoso.test": RECORDS}, policy=policy))
    zone.foresee(OURS)
    zone.create(OURS)
    assert zone.remove(OURS)
    with pytest.raises(UpdateFailed, match="let the key clouddp-key update this name"):
        zone.create(dataclasses.replace(OURS, fqdn="dp.us.contoso.test"))


def test_a_name_above_others_is_free(zone: Zone) -> None:
    zone.create(dataclasses.replace(OURS, fqdn="ent.contoso.test"))


def test_the_very_same_record_is_taken_over_with_the_right_ttl(zone: Zone, server: Bind) -> None:
    by_hand(server, dataclasses.replace(OURS, ttl=5))
    zone.create(OURS)
    assert zone.read(OURS.fqdn) == OURS


def test_a_change_that_was_made_already_is_no_failure(zone: Zone) -> None:
    changed = dataclasses.replace(OURS, target="dp2.region.cloudapp.test")
    zone.create(changed)
    zone.change(OURS, changed)
    assert zone.read(OURS.fqdn) == changed


def test_a_record_that_is_gone_is_made_again_by_a_change(zone: Zone) -> None:
    changed = dataclasses.replace(OURS, ttl=60)
    zone.change(OURS, changed)
    assert zone.read(OURS.fqdn) == changed


def test_a_record_that_somebody_turned_is_not_changed_unseen(zone: Zone, server: Bind) -> None:
    zone.create(OURS)
    by_hand(server, ELSEWHERE)
    with pytest.raises(UpdateFailed, match=r"leads to elsewhere\.fabrikam\.test by now"):
        zone.change(OURS, dataclasses.replace(OURS, ttl=60))
    assert zone.read(OURS.fqdn) == ELSEWHERE


@pytest.mark.parametrize("there", [ELSEWHERE, None])
def test_what_is_not_ours_any_more_is_not_removed(
    zone: Zone, server: Bind, there: Cname | None
) -> None:
    zone.create(OURS)
    by_hand(server, there)
    assert not zone.remove(OURS)
    assert zone.read(OURS.fqdn) == there


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key_secret": OTHER_KEY}, "has another secret for the key clouddp-key: .*keySecret"),
        ({"key_name": "nobody"}, "does not know the key nobody with hmac-sha256: .*keyName"),
        ({"key_algorithm": "hmac-sha512"}, "does not know the key .* or dns.keyAlgorithm"),
        ({"key_name": "other-key", "key_secret": OTHER_KEY}, r"\(REFUSED\): let the key other-key"),
        ({"name": "fabrikam.test"}, r"\(NOTAUTH\): correct dns.zone"),
        ({"key_secret": "not base64!"}, "dns.keySecret is not base64"),
        ({"server": "nobody.invalid"}, "nobody.invalid has no address: correct dns.server"),
    ],
)
def test_what_is_wrong_with_key_zone_or_server_is_one_sentence(
    zone: Zone, changes: dict[str, str], words: str
) -> None:
    wrong = dataclasses.replace(zone, **changes)
    with pytest.raises(UpdateFailed, match=words) as failed:
        wrong.create(OURS)
    assert str(failed.value).count("\n") == 0
    assert wrong.key_secret not in str(failed.value) + repr(wrong)
    assert zone.read(OURS.fqdn) is None


def test_a_clock_that_is_wrong_is_named(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("dns.message.time.time", lambda: now - 3600)
    with pytest.raises(UpdateFailed, match="has a clock that differs"):
        zone.create(OURS)


def test_a_name_outside_of_the_zone_is_refused_by_the_server(zone: Zone) -> None:
    with pytest.raises(UpdateFailed, match=r"\(NOTZONE\)"):
        zone.create(dataclasses.replace(OURS, fqdn="dp.fabrikam.test"))


def test_a_zone_that_takes_no_updates_says_who_refuses(bind: Callable[..., Bind]) -> None:
    zone = zone_at(bind(zones={"contoso.test": RECORDS}, policy="deny * zonesub ANY;"))
    with pytest.raises(UpdateFailed, match="it refuses to"):
        zone.create(OURS)


def test_a_zone_that_does_not_load_is_named(bind: Callable[..., Bind]) -> None:
    with pytest.raises(UpdateFailed, match=r"\((SERVFAIL|NOTAUTH)\)"):
        zone_at(bind(zones={"contoso.test": ""})).create(OURS)


def test_records_that_only_the_key_may_see_are_read(bind: Callable[..., Bind]) -> None:
    hidden = bind(zones={"contoso.test": RECORDS}, options=f"allow-query {{ key {KEY_NAME}; }};")
    zone_at(hidden).create(OURS)
    assert zone_at(hidden).read(OURS.fqdn) == OURS


def test_a_server_that_is_not_there_is_named(zone: Zone) -> None:
    gone = dataclasses.replace(zone, server=f"{ADDRESS}:{free_port()}")
    with pytest.raises(UpdateFailed, match=r"cannot be reached over TCP \(Connection refused\)"):
        gone.read(OURS.fqdn)


def test_a_server_that_says_nothing_takes_a_bounded_time(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.dns.updates.SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind((ADDRESS, 0))
        silent.listen()
        mute = dataclasses.replace(zone, server=f"{ADDRESS}:{silent.getsockname()[1]}")
        with pytest.raises(UpdateFailed, match="did not answer within"):
            mute.read(OURS.fqdn)
