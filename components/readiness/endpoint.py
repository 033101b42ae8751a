"""One visit to the service over HTTPS, and how far it came.

The certificate is not judged here but handed on as it was served: the checks say in words what is
wrong with it, where a refused handshake could not.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..proxy import HTTPS_PORT, Proxy

SECONDS = 10.0
LARGEST_BODY = 4096
_DER = 2  # ENCODING_DER of the `_ssl` module
_NUMBER = re.compile(r"^\[(Errno|WinError) \d+\] ")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the service listens, and how this machine gets there."""

    fqdn: str
    """The name that is sent as SNI and as Host."""
    address: str
    """The virtual IP."""
    port: int
    proxy: Proxy = field(default_factory=Proxy)

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def proxy_url(self) -> str | None:
        """The URL of the proxy on the way, None where there is none."""
        return self.proxy.for_hosts(self.fqdn, self.address, port=self.port)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What became of one request on a connection of its own."""

    error: str = ""
    """Why there was no answer, as words that go on after "seen: "; empty if there was one."""
    connected: bool = False
    """Whether TCP came as far as the service, through the proxy if there is one."""
    chain: tuple[bytes, ...] = ()
    """Certificates (DER) in the order in which they were served; empty without TLS."""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    """The first bytes of the body."""


def visit(
    endpoint: Endpoint,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Visit:
    """Sends one request on a new connection.

    Args:
        endpoint: where to.
        path: path of the request, beginning with a slash.
        method: its method.
        headers: more headers.
        seconds: limit for each step (connect, handshake, answer).
    """
    # Only who looks at a service needs it, and it takes a while to load.
    import httpx2

    proxy = endpoint.proxy_url
    # With a proxy, the steps of the connection are those to the proxy, and these the service's.
    leg = "proxy" if proxy else "connection"
    found: dict[str, Any] = {}

    def trace(step: str, info: dict[str, Any]) -> None:
        if step == f"{leg}.start_tls.started":
            found["connected"] = True
        elif step == f"{leg}.start_tls.complete":
            # Now, since nothing is left of it once the connection is closed.
            found["chain"] = _served(info["return_value"].get_extra_info("ssl_object"))

    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    try:
        with (
            httpx2.Client(
                verify=_unjudged(), trust_env=False, timeout=seconds, proxy=proxy
            ) as client,
            client.stream(
                method,
                f"https://{host}:{endpoint.port}{path}",
                headers={"Host": _host(endpoint), "Accept-Encoding": "identity", **(headers or {})},
                extensions={"sni_hostname": endpoint.fqdn, "trace": trace},
            ) as response,
        ):
            found["status"] = response.status_code
            found["headers"] = {name.lower(): value for name, value in response.headers.items()}
            found["body"] = _beginning(response)
    except httpx2.HTTPError as error:
        found["error"] = _in_words(error, endpoint, proxied=bool(proxy))
    return Visit(**found)


def _host(endpoint: Endpoint) -> str:
    return endpoint.fqdn if endpoint.port == HTTPS_PORT else f"{endpoint.fqdn}:{endpoint.port}"


def _unjudged() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _served(tls: Any) -> tuple[bytes, ...]:
    """The certificates as they were served, which Python 3.13 and later offer without detour."""
    connection = getattr(tls, "_sslobj", None) or tls
    return tuple(
        certificate if isinstance(certificate, bytes) else certificate.public_bytes(_DER)
        for certificate in connection.get_unverified_chain() or ()
    )


def _beginning(response: Any) -> bytes:
    body = b""
    for part in response.iter_raw():
        body += part
        if len(body) >= LARGEST_BODY:
            break
    return body[:LARGEST_BODY]


def _in_words(error: Exception, endpoint: Endpoint, *, proxied: bool) -> str:
    import httpx2

    through = f" through the proxy {endpoint.proxy}" if proxied else ""
    text = _NUMBER.sub("", str(error).partition(" (_ssl.c")[0])
    if isinstance(error, httpx2.ProxyError):
        if text.startswith(("401", "407")):
            advice = "give the right user and password in the proxy's URL"
        else:
            advice = f"let it, or put {endpoint.address} into NO_PROXY"
        return f"the proxy {endpoint.proxy} did not connect to {endpoint} ({text}): {advice}"
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer from {endpoint}{through} in time"
    return f"{text or type(error).__name__} ({endpoint}{through})"
