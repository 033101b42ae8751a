"""The checks through a real proxy, and around it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from components.dns.lookups import LookupFailed, Resolver
from components.proxy import Proxy, proxy_from
from components.readiness.connection_check import main
from components.readiness.endpoint import Endpoint, visit
from sandbox import packages
from tests.dns.servers import ADDRESS, Bind, free_port, over_https
from tests.dns.service import FQDN, SITE, Behaviour, identity, serve

START_SECONDS = 10


class RealProxy:
    """A tinyproxy process."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.port = free_port()
        self.log_file = folder / "proxy.log"
        configuration = folder / "proxy.conf"
        lines = [f"Port {self.port}", f"Listen {ADDRESS}", "Timeout 10", f"Allow {ADDRESS}"]
        lines += [f'LogFile "{self.log_file}"', "LogLevel Connect", *more]
        configuration.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            ["tinyproxy", "-d", "-c", configuration],
            env=packages.environment("tinyproxy"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((ADDRESS, self.port), 1).close()
                return
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.port}"

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(5)


@pytest.fixture
def proxy(tmp_path: Path) -> Generator[Callable[..., RealProxy]]:
    with ExitStack() as running:

        def start(*more: str) -> RealProxy:
            found = RealProxy(tmp_path, *more)
            running.callback(found.stop)
            found.wait()
            return found

        yield start


@pytest.fixture
def port(tmp_path: Path) -> Generator[int]:
    with serve(Behaviour(identities=[identity()]), tmp_path) as listening:
        yield listening


def without_other_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def endpoint(port: int, proxy: Proxy) -> Endpoint:
    return Endpoint(fqdn=FQDN, address=ADDRESS, port=port, proxy=proxy)


def test_a_visit_goes_through_the_proxy(proxy: Callable[..., RealProxy], port: int) -> None:
    real = proxy()
    there = visit(endpoint(port, Proxy(real.url)), "/readyz")
    assert (there.status, there.connected, len(there.chain)) == (200, True, 2)
    assert f"CONNECT {ADDRESS}:{port}" in real.log()


@pytest.mark.parametrize("entry", [ADDRESS, "127.0.0.0/8", ".contoso.test", FQDN, "*"])
def test_what_no_proxy_names_is_reached_directly(
    proxy: Callable[..., RealProxy], port: int, entry: str
) -> None:
    real = proxy()
    there = visit(endpoint(port, Proxy(real.url, (entry,))), "/readyz")
    assert there.status == 200
    assert f"CONNECT {ADDRESS}" not in real.log()


def test_user_and_password_are_sent_and_never_shown(
    proxy: Callable[..., RealProxy], port: int
) -> None:
    real = proxy("BasicAuth operator opensesame")
    right = f"http://operator:opensesame@{ADDRESS}:{real.port}"
    assert visit(endpoint(port, Proxy(right)), "/readyz").status == 200
    wrong = Proxy(f"http://operator:guessed@{ADDRESS}:{real.port}")
    there = visit(endpoint(port, wrong), "/readyz")
    assert not there.connected
    assert there.error.endswith("give the right user and password in the proxy's URL")
    assert "guessed" not in there.error + repr(wrong) + str(wrong)


def test_a_proxy_that_refuses_says_what_to_do(proxy: Callable[..., RealProxy], port: int) -> None:
    real = proxy("ConnectPort 443")
    there = visit(endpoint(port, Proxy(real.url)), "/readyz")
    assert (there.connected, there.chain) == (False, ())
    assert there.error.startswith(f"the proxy {real.url} did not connect to {ADDRESS}:{port} (403")
    assert there.error.endswith(f"put {ADDRESS} into NO_PROXY")


def test_the_connection_check_goes_through_the_proxy_of_the_environment(
    proxy: Callable[..., RealProxy],
    port: int,
    bind: Callable[..., Bind],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = proxy()
    names = bind(
        zones={"contoso.test": f"dp CNAME {SITE}.", "cloudapp.test": f"dp1.region A {ADDRESS}"}
    )
    without_other_proxies(monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", real.url)
    assert main(["check", FQDN, "--port", str(port), "--nameserver", names.server]) == 0, (
        capsys.readouterr()
    )
    assert f"CONNECT {ADDRESS}:{port}" in real.log()


def test_dns_over_https_goes_through_the_proxy_and_nobody_is_asked_directly(
    proxy: Callable[..., RealProxy],
    bind: Callable[..., Bind],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusted, tls = tmp_path / "trusted.pem", free_port()
    server = identity("localhost")
    trusted.write_text(server.root_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    contoso = bind(zones={"contoso.test": "dp A 127.0.0.9"})
    bind(
        forwards={"contoso.test": contoso},
        **over_https(server.private_pem + server.chain_pem, tls, tmp_path / "tls.pem"),
    )
    real = proxy()
    resolver = Resolver([f"https://localhost:{tls}/dns-query"], proxy=Proxy(real.url))
    assert resolver.ask("dp.contoso.test", "A").values == ("127.0.0.9",)
    assert f"CONNECT localhost:{tls}" in real.log()
    with pytest.raises(LookupFailed, match="are not asked directly"):
        resolver.authoritative("dp.contoso.test")


def test_a_proxy_that_is_not_there_is_named(port: int) -> None:
    gone = f"http://{ADDRESS}:{free_port()}"
    there = visit(endpoint(port, Proxy(gone)), "/readyz")
    assert not there.connected
    assert "Connection refused" in there.error
    assert gone in there.error


@pytest.mark.parametrize(
    ("setting", "environment", "url"),
    [
        (None, {}, ""),
        (None, {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        (
            None,
            {"https_proxy": "http://small:1", "HTTPS_PROXY": "http://large:1"},
            "http://small:1",
        ),
        ("http://set:1", {"HTTPS_PROXY": "http://other:1"}, "http://set:1"),
        (None, {"ALL_PROXY": "http://all:1"}, "http://all:1"),
        (None, {"ALL_PROXY": "socks5h://socks:1080"}, ""),
    ],
)
def test_the_setting_goes_before_the_environment(
    setting: str | None, environment: dict[str, str], url: str
) -> None:
    assert proxy_from(setting, environment).url == url


@pytest.mark.parametrize(
    ("entry", "direct"),
    [
        ("contoso.test", True),
        ("*.contoso.test", True),
        ("ontoso.test", False),
        ("contoso.test:443", True),
        ("contoso.test:8443", False),
        ("203.0.113.0/24", True),
        ("203.0.113.9", False),
        ("2001:db8::/32", False),
    ],
)
def test_no_proxy_is_read_as_other_tools_read_it(entry: str, direct: bool) -> None:
    proxy = proxy_from("http://proxy:1", {"NO_PROXY": f"localhost, {entry}"})
    assert (proxy.for_hosts(FQDN, "203.0.113.7", port=443) is None) is direct
