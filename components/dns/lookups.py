"""Look-ups: where a name leads, as clients see it and as the zone's own servers say.

Nothing is kept between two look-ups: a cache here would hide the change that somebody waits for.
"""

from __future__ import annotations

import copy
import os
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from ..proxy import Proxy

if TYPE_CHECKING:
    import dns.rrset

PORT = 53
SECONDS_FOR_A_LOOK_UP = 6.0
SECONDS_FOR_ONE_TRY = 2.0
MOST_ALIASES = 16
# Servers of one zone that are asked: more would only make a failure take longer.
MOST_SERVERS = 6
# Fits into one packet on any path (DNS flag day 2020).
UDP_PAYLOAD = 1232
VARIABLE = "CLOUDDP_NAMESERVERS"
HTTPS = "https://"


class LookupFailed(Exception):
    """A look-up that gave no answer, as one sentence for the user.

    Attributes:
        reached: whether a server was reached at all.
    """

    def __init__(self, sentence: str, *, reached: bool = False) -> None:
        super().__init__(sentence)
        self.reached = reached


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server says of one name and one kind of record."""

    name: str
    kind: str
    values: tuple[str, ...]
    """Names in lower case, without a dot at their end; addresses as they are written."""
    aliases: tuple[str, ...]
    """Where the server's CNAME records lead, in order; the values are the last one's."""
    exists: bool
    """Whether the name, or the last of its aliases, exists at all."""
    ttl: int
    """Seconds for which this may be kept, also where it says that nothing is there."""
    zone: str
    """The zone that the answer is from, where a negative answer says it, else empty."""
    delegated_to: tuple[str, ...]
    """The name servers to which the zone leaves the name, if it does."""
    authoritative: bool
    server: str
    """Who said it."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A name, the names that its aliases lead to, and the addresses at the end."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    exists: bool
    circular: bool
    ttl: int
    """Seconds for which the shortest-lived part may be kept."""
    cached: bool
    """Whether some of it may come from a cache, which goes on saying so until then."""

    def __str__(self) -> str:
        way = " → ".join(self.names)
        if self.circular:
            return f"{way}, which leads in a circle"
        if self.addresses:
            return f"{way} → {', '.join(self.addresses)}"
        return f"{way}, which {'has no address' if self.exists else 'does not exist'}"


@dataclass(frozen=True)
class _Server:
    host: str
    """Address, or the URL of DNS over HTTPS."""
    port: int = PORT

    def __str__(self) -> str:
        if self.host.startswith(HTTPS) or self.port == PORT:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Fault(Exception):
    """Why one server was of no use."""


class _BadAnswer(_Fault):
    """It was reached, and that did not help."""


class Resolver:
    """Asks DNS servers, one after the other until one answers, within a bounded time.

    Threads may share it.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        *,
        proxy: Proxy | None = None,
        seconds: float = SECONDS_FOR_A_LOOK_UP,
        authoritative_port: int = PORT,
    ) -> None:
        """Chooses whom to ask.

        Args:
            nameservers: ``host``, ``host:port``, ``[IPv6]:port`` or an ``https://`` URL (DNS over
                HTTPS, RFC 8484); the system's own where there are none.
            proxy: how DNS over HTTPS gets out; plain DNS always goes direct.
            seconds: how long one look-up may take in all.
            authoritative_port: where the servers that zones name listen.
        """
        self._nameservers = tuple(nameservers)
        self._chosen: tuple[_Server, ...] = ()
        self._proxy = proxy or Proxy()
        self._seconds = seconds
        self._authoritative_port = authoritative_port
        self._recursive = True

    def __str__(self) -> str:
        return ", ".join(map(str, self._chosen)) or ", ".join(self._nameservers) or "the system"

    def ask(self, name: str, kind: str) -> Answer:
        """Asks for the records of one kind.

        Args:
            name: a host name, with or without a dot at its end.
            kind: ``A``, ``AAAA``, ``CNAME``, ``NS`` or ``SOA``.

        Raises:
            LookupFailed: no server gave an answer in time.
        """
        asked = dns.name.from_text(name)
        query = dns.message.make_query(asked, kind, use_edns=0, payload=UDP_PAYLOAD)
        if not self._recursive:
            query.flags &= ~dns.flags.RD
        until = time.monotonic() + self._seconds
        faults: dict[str, _Fault] = {}
        # A packet may get lost: everybody is asked twice before the look-up is given up.
        for server in self._servers * 2:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                reply = self._exchange(server, query, min(left, SECONDS_FOR_ONE_TRY))
                return self._read(reply, asked, kind, server)
            except _Fault as fault:
                faults[str(server)] = fault
        said = "; ".join(f"{server} {fault}" for server, fault in faults.items())
        raise LookupFailed(
            f"{_text(asked)} could not be looked up ({kind}): {said}.",
            reached=any(isinstance(fault, _BadAnswer) for fault in faults.values()),
        )

    def step(self, name: str) -> Answer:
        """The addresses of a name, or where its alias leads even if that cannot be found.

        Raises:
            LookupFailed: no server gave an answer in time.
        """
        try:
            return self.ask(name, "A")
        except LookupFailed as failed:
            if not failed.reached:
                raise
            # Servers answer SERVFAIL for aliases in a circle and for one that leads to a zone out
            # of their reach. The alias itself they know.
            alias = self.ask(name, "CNAME")
            if not alias.values:
                raise
            return replace(alias, kind="A", values=(), aliases=alias.values)

    def trace(self, name: str) -> Chain:
        """Follows a name through its aliases to its IPv4 addresses.

        Raises:
            LookupFailed: no server gave an answer in time.
        """
        names = [_text(dns.name.from_text(name))]
        answers: list[Answer] = []
        while True:
            answer = self.step(names[-1])
            answers.append(answer)
            circular = False
            for alias in answer.aliases:
                circular = alias in names
                if circular:
                    break
                names.append(alias)
            # A server that knows its own zones only follows an alias as far as those go.
            more = answer.aliases and not answer.values and len(names) <= MOST_ALIASES
            if circular or not more:
                return Chain(
                    names=tuple(names),
                    addresses=answer.values,
                    exists=answer.exists,
                    circular=circular or len(names) > MOST_ALIASES,
                    ttl=min(answer.ttl for answer in answers),
                    cached=not all(answer.authoritative for answer in answers),
                )

    def zone_of(self, name: str) -> str:
        """The zone that the records of a host name are in, or would be in.

        Raises:
            LookupFailed: no server gave an answer in time.
        """
        return self._authority(name).name

    def authoritative(self, name: str) -> Resolver:
        """One that asks the servers of the zone that a host name is in, past every cache.

        Where the name is a zone of its own, these are its parent's servers: they say so.

        Raises:
            LookupFailed: the zone or its servers could not be found.
        """
        soa = self._authority(name)
        if soa.authoritative:
            # The server that was chosen is the zone's own, though it may not be listed as such.
            return self._asking([server for server in self._servers if str(server) == soa.server])
        if soa.server.startswith(HTTPS):
            raise LookupFailed(
                f"The servers of the zone {soa.name} are not asked directly, since nameservers "
                f"names {soa.server}."
            )
        hosts = self.ask(soa.name, "NS").values
        addresses: list[str] = []
        for kind in ("A", "AAAA"):
            for host in hosts[:MOST_SERVERS]:
                addresses += self.ask(host, kind).values
        if not addresses:
            raise LookupFailed(
                f"None of the servers of the zone {soa.name} has an address: "
                f"{', '.join(hosts) or 'it names none'}."
            )
        return self._asking(
            [_Server(address, self._authoritative_port) for address in addresses[:MOST_SERVERS]]
        )

    def _asking(self, servers: Iterable[_Server]) -> Resolver:
        other = copy.copy(self)
        other._chosen = tuple(servers)
        other._recursive = False
        return other

    @property
    def _servers(self) -> tuple[_Server, ...]:
        """Whom to ask, found out when it is needed: a failure is then one of a look-up."""
        if not self._chosen:
            names = self._nameservers
            self._chosen = tuple(_servers(names) if names else _system_servers())
        return self._chosen

    def _authority(self, name: str) -> Answer:
        """The SOA record's answer of the zone that a name's records are in.

        The name itself is not asked for: it may be an alias to where this resolver finds nothing.
        """
        at = dns.name.from_text(name).parent()
        while True:
            answer = self.ask(at.to_text(), "SOA")
            if answer.values and not answer.aliases:
                return answer
            zone = dns.name.from_text(answer.zone) if answer.zone and not answer.aliases else None
            if zone is not None and at != zone and at.is_subdomain(zone):
                at = zone
            elif at == dns.name.root:
                raise LookupFailed(f"The zone of {name} could not be found: {self} knows none.")
            else:
                at = at.parent()

    def _exchange(
        self, server: _Server, query: dns.message.QueryMessage, seconds: float
    ) -> dns.message.Message:
        try:
            if server.host.startswith(HTTPS):
                return self._over_https(server.host, query, seconds)
            reply, _ = dns.query.udp_with_fallback(
                query, server.host, seconds, server.port, ignore_unexpected=True
            )
        except dns.exception.Timeout:
            raise _Fault(f"did not answer within {seconds:.0f} s") from None
        except dns.exception.DNSException as error:
            raise _Fault(f"sent no proper answer ({type(error).__name__})") from None
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or "the connection was closed"
            raise _Fault(f"cannot be reached ({reason})") from None
        return reply

    def _over_https(
        self, url: str, query: dns.message.QueryMessage, seconds: float
    ) -> dns.message.Message:
        import httpx2

        try:
            with httpx2.Client(
                verify=ssl.create_default_context(),  # the system's authorities, and SSL_CERT_FILE
                http2=True,
                trust_env=False,
                timeout=seconds,
                proxy=self._proxy.for_url(url),
            ) as client:
                return dns.query.https(query, url, seconds, session=client)
        except httpx2.TimeoutException:
            raise _Fault(f"did not answer within {seconds:.0f} s") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise _Fault(f"cannot be reached ({error})") from None

    def _read(
        self, reply: dns.message.Message, asked: dns.name.Name, kind: str, server: _Server
    ) -> Answer:
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise _BadAnswer(f"answered {dns.rcode.to_text(reply.rcode())}")
        authoritative = bool(reply.flags & dns.flags.AA)
        wanted = dns.rdatatype.from_text(kind)
        records = {(rrset.name, rrset.rdtype): rrset for rrset in reply.answer}
        at, aliases, ttls = asked, [], []
        while alias := records.get((at, dns.rdatatype.CNAME)):
            if wanted == dns.rdatatype.CNAME or len(aliases) > MOST_ALIASES:
                break
            at = alias[0].target
            aliases.append(_text(at))
            ttls.append(alias.ttl)
        found = records.get((at, wanted))
        referral = None
        if found:
            ttls.append(found.ttl)
        else:
            referral = _first(reply.authority, dns.rdatatype.NS)
            soa = _first(reply.authority, dns.rdatatype.SOA)
            if soa is not None:
                ttls.append(min(soa.ttl, soa[0].minimum))
                referral = None
            if not self._recursive and not authoritative:
                if referral is None or not asked.is_subdomain(referral.name):
                    raise _BadAnswer(
                        "is named as a server of the zone, but does not know it (lame)"
                    )
                if referral.name == dns.name.root:
                    raise _BadAnswer("sends the question back to the root (lame)")
        zone = "" if found else _negative_zone(reply)
        return Answer(
            name=_text(asked),
            kind=kind,
            values=tuple(sorted(map(_value, found or ()))),
            aliases=tuple(aliases),
            exists=reply.rcode() == dns.rcode.NOERROR,
            ttl=min(ttls, default=0),
            zone=zone,
            delegated_to=tuple(sorted(map(_value, referral)))
            if referral is not None and not authoritative
            else (),
            authoritative=authoritative,
            server=str(server),
        )


def nameservers(setting: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """The servers to ask: the setting's, else those of ``CLOUDDP_NAMESERVERS``, else none."""
    return list(setting) or environment.get(VARIABLE, "").replace(",", " ").split()


def _servers(nameservers: Iterable[str]) -> Iterable[_Server]:
    for text in nameservers:
        if text.startswith(HTTPS):
            yield _Server(text)
            continue
        host, port = split_host(text)
        if dns.inet.is_address(host):
            yield _Server(host, port)
            continue
        # Asking a server by its name needs another server first: the system's.
        known = Resolver().trace(host)
        if not known.addresses:
            raise LookupFailed(f"The DNS server {text} has no address: {known}.")
        yield _Server(known.addresses[0], port)


def split_host(text: str) -> tuple[str, int]:
    """Takes ``host``, ``host:port``, ``[IPv6]:port`` or a bare IPv6 address apart."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or PORT)
    if text.count(":") > 1:
        return text, PORT
    host, _, port = text.partition(":")
    return host, int(port or PORT)


def _system_servers() -> Iterable[_Server]:
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException:
        raise LookupFailed(
            "This machine has no DNS server: name one in nameservers or CLOUDDP_NAMESERVERS."
        ) from None
    return [_Server(str(host), system.port) for host in system.nameservers]


def _first(
    section: Iterable[dns.rrset.RRset], kind: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    return next((rrset for rrset in section if rrset.rdtype == kind), None)


def _negative_zone(reply: dns.message.Message) -> str:
    soa = _first(reply.authority, dns.rdatatype.SOA)
    return _text(soa.name) if soa is not None else ""


def _value(record: object) -> str:
    """The record as text; a name in it alone, without what else the record says."""
    for field in ("target", "mname", "address"):
        value = getattr(record, field, None)
        if value is not None:
            return _text(value) if isinstance(value, dns.name.Name) else str(value)
    raise TypeError(f"{type(record).__name__} is no record that is asked for")


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
