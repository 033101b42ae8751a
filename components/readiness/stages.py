"""What Ready means, stage by stage: each says what it saw and what it expected.

A stage looks once and never waits; `readiness` does the waiting.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from ..certificate import served as served_chain
from ..dns.lookups import LookupFailed, Resolver
from ..proxy import HTTPS_PORT, Proxy
from .endpoint import Endpoint, Visit, visit

TOKEN_SECONDS = 120
# New connections for each instance: the balancer spreads them at random, and with two instances
# both are met with a chance of 1 - 2^-15.
CONNECTIONS_PER_INSTANCE = 8
MOST_CONNECTIONS_AT_ONCE = 8
LONGEST_QUOTE = 120
# What an instance says when it refuses content on purpose (`instance/nginx/gate.js`).
QUOTA_USED_UP = "the transfer quota of this service is used up"
_REASON = "x-clouddp-reason"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A distribution point to look at. What is empty is not known, and not checked."""

    service: str
    """Service name, for logs and messages."""
    fqdn: str
    """The name that clients use."""
    site_fqdn: str
    """The name in the Azure domain; the same as `fqdn` where no alias is needed."""
    virtual_ip: str
    port: int = HTTPS_PORT
    thumbprint: str = ""
    chain_pem: str = ""
    test_environment: bool = True
    """Whether a wildcard or self-signed certificate is right; nobody who does not know says no."""
    instances: int = 1
    container_exists: Callable[[], bool] | None = field(default=None, compare=False)
    """Asks Azure; raises LookupFailed where Azure cannot be asked."""
    token_key: str = field(default="", repr=False)
    anonymous: bool = False
    sample: str = ""
    """Name of a blob to download, if any is known."""
    sample_may_be_missing: bool = False
    """Whether it may not be published yet."""


@dataclass(frozen=True)
class Seen:
    """What a look at one stage brought.

    Attributes:
        ok: whether it is as it should be.
        seen: what is there, in words that go on after "seen: ".
        expected: what should be.
        keeps: seconds for which a cache goes on giving this answer; 0 if it may change any time.
        stopped: whether the service refuses on purpose, since its transfer quota is used up.
    """

    ok: bool
    seen: str
    expected: str
    keeps: int = 0
    stopped: bool = False


@dataclass(frozen=True)
class Stage:
    """One thing that has to be right.

    Attributes:
        name: a short name for logs and for programs.
        title: what is waited for, in words that go on after "whether ".
        look: looks once, within a bounded time.
        needs: names of the stages without which a look can bring nothing.
    """

    name: str
    title: str
    look: Callable[[], Seen]
    needs: tuple[str, ...] = ()


def stages(subject: Subject, *, resolver: Resolver, proxy: Proxy) -> list[Stage]:
    """The stages of one distribution point in the order in which they come true.

    Args:
        subject: what to look at.
        resolver: whom to ask for names.
        proxy: how to get out to the service.
    """
    endpoint = Endpoint(
        fqdn=subject.fqdn, address=subject.virtual_ip, port=subject.port, proxy=proxy
    )
    found: list[Stage] = []
    if exists := subject.container_exists:
        found.append(Stage("container", "the container exists", lambda: _container(exists)))
    if subject.fqdn != subject.site_fqdn:
        title = f"{subject.fqdn} leads to {subject.site_fqdn}"
        found.append(Stage("alias", title, lambda: _alias(subject, resolver)))
    found += [
        Stage(
            "address",
            f"{subject.site_fqdn} has the address {subject.virtual_ip}",
            lambda: _address(subject, resolver),
        ),
        Stage("connection", f"{endpoint} takes connections", lambda: _connection(endpoint)),
        Stage(
            "certificate",
            f"{subject.fqdn} serves its certificate",
            lambda: _certificate(subject, endpoint),
            needs=("connection",),
        ),
        Stage(
            "service",
            "the service says that it is ready",
            lambda: _service(endpoint),
            needs=("connection",),
        ),
    ]
    if subject.token_key or subject.anonymous:
        found.append(
            Stage(
                "download",
                "content can be downloaded" if subject.sample else "the way to content is open",
                lambda: (
                    _sample(subject, endpoint) if subject.sample else _way_in(subject, endpoint)
                ),
                needs=("connection",),
            )
        )
    if subject.instances > 1:
        found.append(
            Stage(
                "instances",
                f"all {subject.instances} instances serve that certificate",
                lambda: _instances(subject, endpoint),
                needs=("connection", "certificate"),
            )
        )
    return found


def _container(exists: Callable[[], bool]) -> Seen:
    expected = "the container that content goes into"
    try:
        there = exists()
        return Seen(there, "the container" if there else "no container", expected)
    except LookupFailed as failed:
        return Seen(False, _words(failed), expected)


def _alias(subject: Subject, resolver: Resolver) -> Seen:
    expected = f"an alias (CNAME) from {subject.fqdn} to {subject.site_fqdn}"
    # The zone's own servers come first: asked too early, a cache would go on for a while saying
    # that there is no such name.
    right_at_source = False
    try:
        own = resolver.authoritative(subject.fqdn)
        answer = own.step(subject.fqdn)
        if not answer.aliases:
            there = ", ".join(answer.values or answer.delegated_to) or "no record"
            return Seen(False, f"{there} at the zone's server {answer.server}", expected)
        right_at_source = subject.site_fqdn in answer.aliases
    except LookupFailed:
        pass  # many networks let nobody ask foreign name servers: what clients are told decides
    try:
        chain = resolver.trace(subject.fqdn)
    except LookupFailed as failed:
        return Seen(False, _words(failed), expected)
    if subject.site_fqdn in chain.names:
        return Seen(True, str(chain), expected)
    if right_at_source and chain.cached:
        seen = f"{chain}, from a cache that keeps it for {chain.ttl} s; the zone is right"
    else:
        seen = str(chain)
    return Seen(False, seen, expected, chain.ttl if chain.cached else 0)


def _address(subject: Subject, resolver: Resolver) -> Seen:
    expected = f"{subject.site_fqdn} → {subject.virtual_ip}"
    try:
        chain = resolver.trace(subject.site_fqdn)
    except LookupFailed as failed:
        return Seen(False, _words(failed), expected)
    ok = subject.virtual_ip in chain.addresses
    return Seen(ok, str(chain), expected, chain.ttl if chain.cached else 0)


def _connection(endpoint: Endpoint) -> Seen:
    there = visit(endpoint, "/healthz")
    return Seen(
        there.connected,
        "a connection" if there.connected else there.error,
        f"a TCP connection to {endpoint}",
    )


def _certificate(subject: Subject, endpoint: Endpoint) -> Seen:
    there = visit(endpoint, "/healthz")
    if subject.thumbprint:
        expected = f"the certificate {subject.thumbprint} with its chain"
    else:
        expected = f"a certificate for {subject.fqdn} with its chain"
    if not there.chain:
        return Seen(False, there.error or "no certificate", expected)
    wrong = served_chain.fault(
        there.chain,
        fqdn=subject.fqdn,
        test_environment=subject.test_environment,
        expected_thumbprint=subject.thumbprint,
        expected_chain=subject.chain_pem,
    )
    if wrong and endpoint.proxy_url:
        wrong += (
            f" (through the proxy {endpoint.proxy}; if it opens TLS itself, put {endpoint.address} "
            "into NO_PROXY)"
        )
    return Seen(not wrong, wrong or served_chain.describe(there.chain[0]), expected)


def _service(endpoint: Endpoint) -> Seen:
    there = visit(endpoint, "/readyz")
    return Seen(there.status == 200, _answer(there), "200 from /readyz")


def _way_in(subject: Subject, endpoint: Endpoint) -> Seen:
    """Asks for what surely is not there: "no such thing" means that the way was open up to it."""
    path = "/clouddp-" + hashlib.sha256(subject.fqdn.encode()).hexdigest()[:20]
    headers = _authorization(subject, path)

    def look() -> Seen:
        there = visit(endpoint, path, method="HEAD", headers=headers)
        return Seen(
            there.status in (200, 404),
            _answer(there),
            "404 for a download that does not exist",
            stopped=_stopped(there),
        )

    return _everywhere(subject, look)


def _sample(subject: Subject, endpoint: Endpoint) -> Seen:
    """Downloads as BITS does: a HEAD that must tell the length, then ranges.

    Source: Microsoft Learn "HTTP Requirements for BITS Downloads".
    """
    headers = _authorization(subject, f"/{subject.sample}")
    target = f"/{quote(subject.sample)}"
    expected = f"the length of {target}"

    def look() -> Seen:
        there = visit(endpoint, target, method="HEAD", headers=headers)
        length = there.headers.get("content-length", "")
        if there.status == 404 and subject.sample_may_be_missing:
            return Seen(True, f"the way is open, and {target} is not published yet", expected)
        if there.status != 200 or not length.isdigit():
            without = "" if length or there.error else " without Content-Length"
            return Seen(False, _answer(there) + without, expected, stopped=_stopped(there))
        return Seen(True, length, expected)

    head = _everywhere(subject, look)
    if not head.seen.isdigit():
        return head
    size = int(head.seen)
    middle = size // 2
    for first, last in ((0, 0), (middle, min(middle + 1, size - 1))) if size else ():
        asked = {**headers, "Range": f"bytes={first}-{last}"}
        there = visit(endpoint, target, headers=asked)
        wanted = f"bytes {first}-{last}/{size}"
        got = there.headers.get("content-range", "no Content-Range")
        if there.status != 206 or got != wanted or len(there.body) != last - first + 1:
            return Seen(False, f"{_answer(there)} with {got}", f"206 with {wanted}")
    return Seen(True, f"{size} bytes", expected)


def _instances(subject: Subject, endpoint: Endpoint) -> Seen:
    seen = _everywhere(subject, lambda: _certificate(subject, endpoint))
    if not seen.ok:
        return seen
    return replace(seen, seen=f"the same on {_connections(subject)} connections")


def _everywhere(subject: Subject, look: Callable[[], Seen]) -> Seen:
    """Looks at all instances behind the balancer, as far as chance lets a stranger meet them.

    Returns:
        What was seen, or the first thing that was wrong and on how many connections it was.
    """
    connections = _connections(subject)
    if connections == 1:
        return look()
    with ThreadPoolExecutor(MOST_CONNECTIONS_AT_ONCE) as pool:
        looks = list(pool.map(lambda _: look(), range(connections)))
    wrong = [each for each in looks if not each.ok]
    if not wrong:
        return looks[0]
    return replace(wrong[0], seen=f"{wrong[0].seen} on {len(wrong)} of {connections} connections")


def _connections(subject: Subject) -> int:
    return CONNECTIONS_PER_INSTANCE * subject.instances if subject.instances > 1 else 1


def _words(failed: LookupFailed) -> str:
    return str(failed).rstrip(".")


def _stopped(there: Visit) -> bool:
    return there.status == 503 and there.headers.get(_REASON) == QUOTA_USED_UP


def _answer(there: Visit) -> str:
    if there.error:
        return there.error
    said = there.headers.get(_REASON) or there.body.decode(errors="replace")
    text = re.sub(r"\s+", " ", said).strip()
    quote = "".join(c for c in text if c.isprintable())[:LONGEST_QUOTE]
    return f"{there.status}" + (f' ("{quote}")' if quote and there.status >= 400 else "")


def _authorization(subject: Subject, path: str) -> Mapping[str, str]:
    if not subject.token_key:
        return {}
    return {"Authorization": f"Bearer {token(subject.token_key, path)}"}


def token(key: str, path: str, *, now: float | None = None) -> str:
    """A download token for one path that ends in two minutes (JWT, HS256; RFC 7519).

    Args:
        key: the token key.
        path: path that it is good for, and those below it.
        now: seconds since 1970; the clock's by default.
    """
    begin = int(time.time() if now is None else now)
    claims = {"iat": begin, "exp": begin + TOKEN_SECONDS, "path": path}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (_HEADER, claims))
    mac = hmac.digest(key.encode(), signed.encode(), "sha256")
    return f"{signed}.{_base64url(mac)}"


_HEADER = {"alg": "HS256", "typ": "JWT"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
