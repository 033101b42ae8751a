"""The connection check against real names and a real HTTPS service, right and wrong."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1

from components.dns.lookups import Resolver
from components.proxy import Proxy
from components.readiness import connection_check
from components.readiness.connection_check import TOKEN_KEY_VARIABLE, main
from components.readiness.stages import QUOTA_USED_UP, Subject, stages
from tests.dns.servers import ADDRESS, Bind, free_port
from tests.dns.service import (
    CONTENT_PATH,
    FQDN,
    SITE,
    TOKEN_KEY,
    Behaviour,
    Identity,
    identity,
    serve,
)

SAMPLE = ("--path", CONTENT_PATH)


@dataclass
class World:
    """Names and a service, with the options that say what they should be."""

    behaviour: Behaviour
    mine: Identity
    port: int
    dns: Bind
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def check(self, *more: str) -> tuple[int, Mapping[str, Mapping[str, Any]]]:
        """Runs the check. Returns the exit code and what it says of each stage."""
        certificate = self.folder / "chain.pem"
        certificate.write_text(self.mine.chain_pem)
        code = main(
            [
                "check",
                FQDN,
                *("--site", SITE),
                *("--address", ADDRESS),
                *("--port", str(self.port)),
                *("--nameserver", self.dns.server),
                *("--certificate", str(certificate)),
                *more,
                "--json",
            ]
        )
        (stages,) = json.loads(self.capsys.readouterr().out).values()
        return code, {stage["stage"]: stage for stage in stages}

    def failures(self, *more: str) -> dict[str, str]:
        """What is wrong, by stage."""
        code, stages = self.check(*more)
        found = {name: stage["seen"] for name, stage in stages.items() if stage["ok"] is False}
        assert code == bool(found)
        return found


@pytest.fixture
def world(
    bind: Callable[..., Bind],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[Callable[..., World]]:
    """Makes a world; what it is given differs from the right one."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", TOKEN_KEY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    with ExitStack() as running:

        def make(
            contoso: str = f"dp CNAME {SITE}.", azure: str = f"dp1.region A {ADDRESS}"
        ) -> World:
            mine = identity()
            behaviour = Behaviour(identities=[mine])
            port = running.enter_context(serve(behaviour, tmp_path))
            dns = bind(zones={"contoso.test": contoso, "cloudapp.test": azure})
            return World(behaviour, mine, port, dns, tmp_path, capsys)

        yield make


def test_all_is_well(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_KEY_VARIABLE, TOKEN_KEY)
    right = world()
    right.behaviour.token_key = TOKEN_KEY
    code, stages = right.check(*SAMPLE, "--instances", "2")
    assert {name: stage["ok"] for name, stage in stages.items()} == dict.fromkeys(
        ["alias", "address", "connection", "certificate", "service", "download", "instances"],
        True,
    )
    assert code == 0
    assert stages["download"]["seen"] == "1024 bytes"
    assert stages["instances"]["seen"] == "the same on 16 connections"
    assert f"GET /readyz {FQDN}:{right.port}" in right.behaviour.requests
    assert set(right.behaviour.asked_for) == {FQDN}


@pytest.mark.parametrize(
    ("contoso", "azure", "stage", "words"),
    [
        ("dp TXT x", None, "alias", "no record at the zone's server"),
        (f"dp A {ADDRESS}", None, "alias", f"{ADDRESS} at the zone's server"),
        ("dp CNAME other.cloudapp.test.", None, "alias", "dp.contoso.test → other.cloudapp.test"),
        ("dp CNAME more\nmore CNAME dp", None, "alias", "leads in a circle"),
        (None, "dp1.region A 127.0.0.2", "address", f"{SITE} → 127.0.0.2"),
        (None, "other A 127.0.0.2", "address", f"{SITE}, which does not exist"),
    ],
)
def test_a_name_that_leads_elsewhere_is_named(
    world: Callable[..., World], contoso: str | None, azure: str | None, stage: str, words: str
) -> None:
    wrong = world(contoso=contoso or f"dp CNAME {SITE}.", azure=azure or f"dp1.region A {ADDRESS}")
    failures = wrong.failures()
    assert words in failures[stage]
    assert set(failures) <= {"alias", "address"}


def wrong_certificate(world: World) -> None:
    world.behaviour.identities = [identity()]


def incomplete_chain(world: World) -> None:
    world.behaviour.identities = [world.mine.without_chain()]


def expired(world: World) -> None:
    world.mine = identity(begins=timedelta(days=-9), ends=timedelta(days=-1))
    world.behaviour.identities = [world.mine]


def foreign_name(world: World) -> None:
    world.mine = identity("other.contoso.test")
    world.behaviour.identities = [world.mine]


def not_ready(world: World) -> None:
    world.behaviour.ready = 503


def no_ranges(world: World) -> None:
    world.behaviour.ranges = False


def other_range(world: World) -> None:
    world.behaviour.shift = 1


def no_length(world: World) -> None:
    world.behaviour.length = False


def other_key(world: World) -> None:
    world.behaviour.token_key = "another-key-of-at-least-32-bytes!"


@pytest.mark.parametrize(
    ("mistake", "stage", "words"),
    [
        (wrong_certificate, "certificate", "the certificate "),
        (incomplete_chain, "certificate", "without CN=Issuing CA of its chain"),
        (expired, "certificate", "that is not valid at this time"),
        (foreign_name, "certificate", f"a certificate that is not for {FQDN}"),
        (not_ready, "service", '503 ("{"waits for": "certificate"}")'),
        (no_ranges, "download", "200 with no Content-Range"),
        (other_range, "download", "206 with bytes 1-1/1024"),
        (no_length, "download", "200 without Content-Length"),
        (other_key, "download", "401"),
    ],
)
def test_a_service_that_is_wrong_is_named(
    world: Callable[..., World],
    monkeypatch: pytest.MonkeyPatch,
    mistake: Callable[[World], None],
    stage: str,
    words: str,
) -> None:
    monkeypatch.setenv(TOKEN_KEY_VARIABLE, TOKEN_KEY)
    wrong = world()
    wrong.behaviour.token_key = TOKEN_KEY
    mistake(wrong)
    failures = wrong.failures(*SAMPLE)
    assert set(failures) == {stage}
    assert words in failures[stage]
    assert TOKEN_KEY not in str(failures)


def test_content_that_is_missing_is_a_mistake_where_it_was_asked_for(
    world: Callable[..., World],
) -> None:
    assert "404" in world().failures("--path", "apps/two.bin")["download"]


@pytest.mark.parametrize("sample", ["", CONTENT_PATH.removeprefix("/")])
def test_content_that_one_of_the_instances_still_refuses_is_no_way_in(
    world: Callable[..., World], sample: str
) -> None:
    mixed = world()
    mixed.behaviour.stopped = 4
    subject = Subject(
        service="dp1",
        fqdn=FQDN,
        site_fqdn=SITE,
        virtual_ip=ADDRESS,
        port=mixed.port,
        anonymous=True,
        instances=2,
        sample=sample,
    )
    found = {each.name: each for each in stages(subject, resolver=Resolver(), proxy=Proxy())}
    look = found["download"].look()
    assert (look.ok, look.stopped) == (False, True)
    assert look.seen == f'503 ("{QUOTA_USED_UP}") on 4 of 16 connections'


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (CONTENT_PATH.removeprefix("/"), "1024 bytes"),
        ("apps/two.bin", "the way is open, and /apps/two.bin is not published yet"),
    ],
)
def test_up_downloads_what_it_was_told_of_once_it_is_published(
    world: Callable[..., World], name: str, seen: str
) -> None:
    right = world()
    right.behaviour.token_key = TOKEN_KEY
    subject = Subject(
        service="dp1",
        fqdn=FQDN,
        site_fqdn=SITE,
        virtual_ip=ADDRESS,
        port=right.port,
        token_key=TOKEN_KEY,
        sample=name,
        sample_may_be_missing=True,
    )
    found = {each.name: each for each in stages(subject, resolver=Resolver(), proxy=Proxy())}
    look = found["download"].look()
    assert (look.ok, look.seen) == (True, seen)
    # Whoever may not have it is no wiser about it, and that is no way in.
    right.behaviour.token_key = "another-key-of-at-least-32-bytes!"
    assert not found["download"].look().ok


def test_one_instance_with_the_old_certificate_is_met(world: Callable[..., World]) -> None:
    mixed = world()
    # The certificate stage meets the second connection's instance, which is right.
    mixed.behaviour.identities = [mixed.mine, mixed.mine, mixed.mine, identity()]
    failures = mixed.failures("--instances", "2")
    assert set(failures) == {"instances"}
    assert failures["instances"].endswith("on 4 of 16 connections")


def test_a_port_where_nothing_listens_fails_once_and_the_rest_is_not_looked_at(
    world: Callable[..., World],
) -> None:
    nowhere = world()
    nowhere.port = free_port()
    code, stages = nowhere.check()
    assert code == 1
    assert "Connection refused" in stages["connection"]["seen"]
    assert stages["certificate"]["ok"] is None
    assert stages["certificate"]["seen"] == "not checked, since connection failed"


def test_an_address_that_is_no_service_connects_and_serves_no_certificate(
    world: Callable[..., World],
) -> None:
    other = world()
    with socketserver.TCPServer((ADDRESS, 0), socketserver.BaseRequestHandler) as closes_at_once:
        threading.Thread(target=closes_at_once.serve_forever, args=(0.05,), daemon=True).start()
        other.port = closes_at_once.server_address[1]
        failures = other.failures()
        closes_at_once.shutdown()
    assert set(failures) == {"certificate", "service"}


def test_a_plain_name_is_checked_with_what_it_leads_to(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    right = world()
    server = ["--nameserver", right.dns.server, "--port", str(right.port)]
    assert main(["check", FQDN, *server]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (f"OK     alias: {FQDN} leads to {SITE}: {FQDN} → {SITE} → {ADDRESS}")
    assert [line.split()[0] for line in lines] == ["OK"] * 5


def test_a_name_that_leads_nowhere_is_nothing_to_check(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    right = world()
    assert main(["check", "nobody.contoso.test", "--nameserver", right.dns.server]) == 2
    assert capsys.readouterr().err == (
        "nobody.contoso.test, which does not exist: there is nothing to check.\n"
    )


def stack(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, Any], config: dict[str, Any] | None
) -> None:
    """Lets `pulumi` say this of the stack; without a configuration it cannot decrypt it."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[-2:] == ["--stack", "prod"]
        if "output" in command:
            return subprocess.CompletedProcess(command, 0, json.dumps(outputs), "")
        assert "--show-secrets" in command
        if config is None:
            return subprocess.CompletedProcess(command, 255, "", "error: incorrect passphrase\n")
        shown = {f"clouddp:{key}": {"value": value} for key, value in config.items()}
        return subprocess.CompletedProcess(command, 0, json.dumps(shown), "")

    monkeypatch.setattr(connection_check.subprocess, "run", run)


def outputs(world: World, **changed: str) -> dict[str, Any]:
    return {
        "status": "Ready",
        "serviceName": "dp1",
        "serviceFqdn": FQDN,
        "serviceUrl": f"https://{FQDN}:{world.port}/",
        "siteUrl": SITE,
        "virtualIp": ADDRESS,
        "certificateThumbprint": world.mine.certificate.fingerprint(SHA1()).hex().upper(),  # noqa: S303
        **changed,
    }


def test_a_stack_is_checked_as_its_settings_say(
    world: Callable[..., World],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = world()
    right.behaviour.token_key = TOKEN_KEY
    config = {
        "nameservers": json.dumps([right.dns.server]),
        "access": json.dumps({"tokenKey": TOKEN_KEY}),
        "readinessPath": CONTENT_PATH,
    }
    stack(monkeypatch, outputs(right), config)
    assert main(["check", "--stack", "prod", "--json"]) == 0
    (stages,) = json.loads(capsys.readouterr().out).values()
    seen = {stage["stage"]: stage["seen"] for stage in stages}
    assert seen["download"] == "1024 bytes"
    assert seen["instances"] == "the same on 16 connections"
    assert TOKEN_KEY not in str(stages)


def test_each_distribution_point_of_a_stack_is_checked_but_for_stopped_ones(
    world: Callable[..., World],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = world()
    several = {
        "dp1": outputs(right),
        "dp2": outputs(right, serviceName="dp2", certificateThumbprint="AB" * 20),
        "dp3": outputs(right, serviceName="dp3", status="Stopped"),
    }
    entries = [{"serviceName": "dp1", "instances": 1}, {"serviceName": "dp2", "instances": 3}]
    config = {
        "nameservers": json.dumps([right.dns.server]),
        "distributionPoints": json.dumps(entries),
    }
    stack(monkeypatch, {"distributionPoints": several}, config)
    assert main(["check", "--stack", "prod", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    wrong = {name: [s["stage"] for s in stages if not s["ok"]] for name, stages in found.items()}
    assert wrong == {"dp1": [], "dp2": ["certificate", "instances"]}


def test_a_stack_whose_settings_cannot_be_read_is_checked_by_its_outputs(
    world: Callable[..., World],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = world()
    stack(monkeypatch, outputs(right), None)
    assert main(["check", "--stack", "prod", "--nameserver", right.dns.server]) == 0
    said = capsys.readouterr()
    assert said.err == (
        "Only what the outputs say is checked. `pulumi config --json` failed: error: incorrect "
        "passphrase\n"
    )
    assert "download" not in said.out


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["a..b.example"], {}, '"a..b.example" is not a host name'),
        (["x" * 70 + ".contoso.test"], {}, "is not a host name"),
        ([FQDN, "--site", "one"], {}, '"one" is one label'),
        ([FQDN, "--nameserver", "127.0.0.1:abc"], {}, "is not a DNS server"),
        ([FQDN, "--proxy", "ftp://proxy"], {}, "does not begin with http:// or https://"),
        ([FQDN, "--path", "https://dp/x"], {}, "is a whole URL"),
        ([FQDN], {"CLOUDDP_NAMESERVERS": "127.0.0.1:abc"}, "in CLOUDDP_NAMESERVERS is not a DNS"),
        ([FQDN], {"HTTPS_PROXY": "proxy:abc"}, "The proxy of the environment"),
    ],
)
def test_a_bad_argument_is_one_sentence_and_nothing_to_check(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    words: str,
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        code: object = main(["check", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_an_international_name_is_checked_by_its_labels(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    right = world(contoso=f"xn--dp-yka CNAME {SITE}.")
    server = ["--nameserver", right.dns.server, "--port", str(right.port)]
    assert main(["check", "dpü.contoso.test", *server, "--json"]) == 1
    (stages,) = json.loads(capsys.readouterr().out).values()
    assert [stage["stage"] for stage in stages if not stage["ok"]] == ["certificate"]
    assert right.behaviour.asked_for[-1] == "xn--dp-yka.contoso.test"
