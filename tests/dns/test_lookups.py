"""Look-ups with real servers: what is there, what is not, and what goes wrong on the way."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import dns.rcode
import dns.update
import pytest

from components.dns.lookups import LookupFailed, Resolver
from components.proxy import Proxy
from components.readiness.stages import Subject, stages
from components.readiness.waiting import Rhythm, Step, wait
from tests.dns.servers import ADDRESS, Bind, free_port, over_https, slow_relay
from tests.dns.service import identity

ZONE = """
dp      300 CNAME dp1.region
dp1.region 30 A 127.0.0.9
first   300 CNAME second
second  200 CNAME third
third   100 A 127.0.0.1
circle1 CNAME circle2
circle2 CNAME circle1
self    CNAME self
dangling CNAME nowhere
away    CNAME dp.other.test.
text    TXT "no address here"
*.wild  A 127.0.0.7
"""


LATE = Subject(
    service="dp1",
    fqdn="late.contoso.test",
    site_fqdn="dp1.region.contoso.test",
    virtual_ip="127.0.0.9",
)


@pytest.fixture
def contoso(bind: Callable[..., Bind]) -> Bind:
    return bind(zones={"contoso.test": ZONE})


def test_a_chain_is_followed_to_its_addresses_with_its_shortest_life(contoso: Bind) -> None:
    chain = Resolver([contoso.server]).trace("First.Contoso.test.")
    assert chain.names == ("first.contoso.test", "second.contoso.test", "third.contoso.test")
    assert (chain.addresses, chain.ttl, chain.circular) == (("127.0.0.1",), 100, False)
    assert str(chain).endswith("third.contoso.test → 127.0.0.1")


@pytest.mark.parametrize("name", ["circle1", "self"])
def test_a_chain_that_leads_in_a_circle_is_seen_to(contoso: Bind, name: str) -> None:
    chain = Resolver([contoso.server]).trace(f"{name}.contoso.test")
    assert chain.circular
    assert str(chain).endswith("which leads in a circle")


def test_a_circle_is_seen_through_a_resolver_too(contoso: Bind, bind: Callable[..., Bind]) -> None:
    resolver = bind(forwards={"contoso.test": contoso})
    assert Resolver([resolver.server]).trace("circle1.contoso.test").circular


@pytest.mark.parametrize(
    ("name", "exists", "words"),
    [
        ("nobody", False, "nobody.contoso.test, which does not exist"),
        ("text", True, "text.contoso.test, which has no address"),
        ("dangling", False, "dangling.contoso.test → nowhere.contoso.test, which does not exist"),
    ],
)
def test_a_name_without_an_address_says_how_far_it_leads(
    contoso: Bind, name: str, exists: bool, words: str
) -> None:
    chain = Resolver([contoso.server]).trace(f"{name}.contoso.test")
    assert (chain.addresses, chain.exists, str(chain)) == ((), exists, words)


def test_an_alias_is_followed_into_another_zone(bind: Callable[..., Bind]) -> None:
    contoso = bind(zones={"contoso.test": ZONE})
    other = bind(zones={"other.test": "dp A 127.0.0.3"})
    resolver = bind(forwards={"contoso.test": contoso, "other.test": other})
    chain = Resolver([resolver.server]).trace("away.contoso.test")
    assert (chain.names, chain.addresses) == (
        ("away.contoso.test", "dp.other.test"),
        ("127.0.0.3",),
    )


def test_a_server_that_knows_both_zones_is_asked_on(bind: Callable[..., Bind]) -> None:
    both = bind(
        zones={"contoso.test": ZONE, "other.test": "dp A 127.0.0.3"},
        options="minimal-responses yes;",
    )
    assert Resolver([both.server]).trace("away.contoso.test").addresses == ("127.0.0.3",)


def test_a_negative_answer_says_for_how_long_it_may_be_kept(bind: Callable[..., Bind]) -> None:
    server = bind(zones={"contoso.test": ZONE}, negative_ttl=17)
    answer = Resolver([server.server]).ask("nobody.contoso.test", "A")
    assert (answer.exists, answer.values, answer.ttl) == (False, (), 17)
    assert answer.zone == "contoso.test"


def test_a_truncated_answer_is_asked_for_again_over_tcp(bind: Callable[..., Bind]) -> None:
    many = "\n".join(f"many A 127.1.{n // 250}.{n % 250 + 1}" for n in range(400))
    server = bind(zones={"contoso.test": many}, options="max-records-per-type 1000;")
    answer = Resolver([server.server]).ask("many.contoso.test", "A")
    assert len(answer.values) == 400


def test_a_zone_that_does_not_load_is_a_servfail_that_is_named(bind: Callable[..., Bind]) -> None:
    server = bind(zones={"contoso.test": ""})
    with pytest.raises(LookupFailed, match=r"dp\.contoso\.test .*answered SERVFAIL\.$") as said:
        Resolver([server.server]).ask("dp.contoso.test", "A")
    assert server.server in str(said.value)


def test_a_server_that_refuses_is_named(bind: Callable[..., Bind]) -> None:
    server = bind(zones={"contoso.test": ZONE}, options="allow-query { none; };")
    with pytest.raises(LookupFailed, match="answered REFUSED"):
        Resolver([server.server]).ask("dp.contoso.test", "A")


def test_the_next_server_is_asked_when_one_fails(contoso: Bind, bind: Callable[..., Bind]) -> None:
    broken = bind(zones={"contoso.test": ""})
    answer = Resolver([broken.server, contoso.server]).ask("third.contoso.test", "A")
    assert (answer.values, answer.server) == (("127.0.0.1",), contoso.server)


def test_a_server_that_is_not_there_takes_a_bounded_time() -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((ADDRESS, 0))
    began = time.monotonic()
    with silent, pytest.raises(LookupFailed, match=r"did not answer within \d s"):
        Resolver([f"{ADDRESS}:{silent.getsockname()[1]}"], seconds=1.5).ask("a.test", "A")
    assert time.monotonic() - began < 10


def test_a_slow_answer_is_waited_for(contoso: Bind) -> None:
    with slow_relay(contoso, 1.0) as server:
        answer = Resolver([server]).ask("third.contoso.test", "A")
    assert answer.values == ("127.0.0.1",)


def test_an_answer_that_is_too_slow_is_not(contoso: Bind) -> None:
    with slow_relay(contoso, 9.0) as server, pytest.raises(LookupFailed, match="did not answer"):
        Resolver([server], seconds=2).ask("third.contoso.test", "A")


def test_the_zones_own_servers_know_what_a_cache_does_not(
    contoso: Bind, bind: Callable[..., Bind]
) -> None:
    cache = bind(forwards={"contoso.test": contoso})
    resolver = Resolver([cache.server], authoritative_port=contoso.port)
    assert resolver.trace("third.contoso.test").addresses == ("127.0.0.1",)
    change = dns.update.UpdateMessage("contoso.test", keyring=keyring())
    change.replace("third", 60, "A", "127.0.0.2")
    assert send(change, contoso) == dns.rcode.NOERROR
    assert resolver.trace("third.contoso.test").addresses == ("127.0.0.1",)
    own = resolver.authoritative("third.contoso.test")
    assert str(own) == contoso.server
    assert own.trace("third.contoso.test").addresses == ("127.0.0.2",)


def test_a_changed_ttl_is_seen_at_the_zones_own_servers(contoso: Bind) -> None:
    own = Resolver([contoso.server]).authoritative("third.contoso.test")
    assert own.ask("third.contoso.test", "A").ttl == 100
    change = dns.update.UpdateMessage("contoso.test", keyring=keyring())
    change.replace("third", 5, "A", "127.0.0.1")
    assert send(change, contoso) == dns.rcode.NOERROR
    assert own.ask("third.contoso.test", "A").ttl == 5


def test_the_zone_of_a_deep_name_is_found(contoso: Bind, bind: Callable[..., Bind]) -> None:
    cache = bind(forwards={"contoso.test": contoso})
    for server in (cache, contoso):
        resolver = Resolver([server.server])
        assert resolver.zone_of("a.b.c.contoso.test") == "contoso.test"
        # An alias at the name must not lead to the zone of its target.
        assert resolver.zone_of("away.contoso.test") == "contoso.test"


def test_a_server_that_is_named_but_does_not_know_the_zone_is_lame(
    bind: Callable[..., Bind],
) -> None:
    ignorant = bind(zones={"other.test": "a A 127.0.0.1"})
    parent = bind(
        zones={
            "contoso.test": f"sub NS ns.sub\nns.sub A {ignorant.address}",
            "sub.contoso.test": f"@ NS lame\nlame A {ignorant.address}",
        }
    )
    cache = bind(forwards={"contoso.test": parent})
    resolver = Resolver([cache.server], authoritative_port=ignorant.port, seconds=2)
    with pytest.raises(LookupFailed, match=r"REFUSED|\(lame\)"):
        resolver.authoritative("dp.sub.contoso.test").ask("dp.sub.contoso.test", "A")


def test_a_name_that_the_zone_leaves_to_others_says_to_whom(bind: Callable[..., Bind]) -> None:
    server = bind(zones={"contoso.test": "dp NS ns.fabrikam.test."})
    answer = Resolver([server.server]).authoritative("dp.contoso.test").ask("dp.contoso.test", "A")
    assert (answer.values, answer.delegated_to) == ((), ("ns.fabrikam.test",))


def test_a_port_where_nothing_listens_is_no_answer() -> None:
    with pytest.raises(LookupFailed, match="could not be looked up"):
        Resolver([f"{ADDRESS}:{free_port()}"], seconds=0.5).ask("a.test", "A")


def test_dns_over_https_is_asked_of_a_server_that_proves_who_it_is(
    bind: Callable[..., Bind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = identity("localhost")
    port = free_port()
    bind(
        zones={"contoso.test": ZONE},
        **over_https(right.private_pem + right.chain_pem, port, tmp_path / "tls.pem"),
    )
    resolver = Resolver([f"https://localhost:{port}/dns-query"])
    with pytest.raises(LookupFailed, match="certificate"):
        resolver.ask("third.contoso.test", "A")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(right.root_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    assert resolver.ask("third.contoso.test", "A").values == ("127.0.0.1",)


def test_a_record_that_appears_late_is_waited_for(contoso: Bind) -> None:
    alias, *_ = stages(LATE, resolver=Resolver([contoso.server]), proxy=Proxy())
    seen: list[str] = []

    def look(step: Step) -> None:
        seen.append(step.seen.seen)
        if len(seen) == 2:
            appear(contoso)

    wait([alias], Rhythm(10, 0.1), look)
    assert seen[0].startswith("no record at the zone's server")
    assert seen[-1] == "late.contoso.test → dp1.region.contoso.test → 127.0.0.9"


def test_a_cache_is_not_taught_that_there_is_no_record_while_it_is_waited_for(
    bind: Callable[..., Bind],
) -> None:
    contoso = bind(zones={"contoso.test": ZONE}, negative_ttl=600)
    cache = bind(forwards={"contoso.test": contoso})
    resolver = Resolver([cache.server], authoritative_port=contoso.port)
    alias, *_ = stages(LATE, resolver=resolver, proxy=Proxy())
    assert not alias.look().ok
    appear(contoso)
    assert alias.look().ok


def test_a_cache_that_knows_better_is_named_with_how_long_it_keeps_that(
    bind: Callable[..., Bind],
) -> None:
    contoso = bind(zones={"contoso.test": ZONE}, negative_ttl=45)
    cache = bind(forwards={"contoso.test": contoso})
    resolver = Resolver([cache.server], authoritative_port=contoso.port)
    assert not resolver.trace("late.contoso.test").exists
    appear(contoso)
    alias, *_ = stages(LATE, resolver=resolver, proxy=Proxy())
    seen = alias.look()
    assert not seen.ok
    assert re.search(r"from a cache that keeps it for (3|4)\d s; the zone is right", seen.seen)
    assert 30 <= seen.keeps <= 45


def appear(contoso: Bind) -> None:
    change = dns.update.UpdateMessage("contoso.test", keyring=keyring())
    change.add("late", 60, "CNAME", "dp1.region")
    assert send(change, contoso) == dns.rcode.NOERROR


def keyring() -> object:
    import dns.tsigkeyring

    from tests.dns.servers import KEY, KEY_NAME

    return dns.tsigkeyring.from_text({KEY_NAME: KEY})


def send(change: dns.update.UpdateMessage, server: Bind) -> int:
    import dns.query

    return dns.query.tcp(change, server.address, 5, server.port).rcode()
