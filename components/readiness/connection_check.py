"""The connection check: each stage of a distribution point, with OK or what is wrong.

    python -m components.readiness check cdp1.contoso.com
    python -m components.readiness check --stack prod --json

It is for what Configuration Manager's connection analyzer is for, and changes nothing. The exit
code is 0 if all is well, 1 if a stage fails, and 2 if there is nothing to check.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import values
from ..certificate import served as served_chain
from ..dns.lookups import VARIABLE, LookupFailed, Resolver, nameservers
from ..proxy import HTTPS_PORT, Proxy, proxy_from
from ..settings.loading import NAMESPACE
from ..settings.model import DistributionPointKeys
from ..settings.parsing import parse_stack
from .stages import (
    Seen,
    Stage,
    Subject,
    stages,
)

TOKEN_KEY_VARIABLE = "CLOUDDP_TOKEN_KEY"  # noqa: S105 - the variable's name
PULUMI_SECONDS = 120
NOT_LOOKED_AT = "not checked, since {} failed"


class NothingToCheck(Exception):
    """There is no distribution point to look at, as one sentence for the user."""


@dataclass(frozen=True)
class Result:
    """What became of one stage; `ok` is None where it was not looked at."""

    stage: Stage
    ok: bool | None
    seen: str
    expected: str = ""


def check(found: Sequence[Stage]) -> Iterable[Result]:
    """Looks at every stage once, but for those that cannot come true without one that failed."""
    failed: set[str] = set()
    for stage in found:
        if missing := [name for name in stage.needs if name in failed]:
            failed.add(stage.name)
            yield Result(stage, None, NOT_LOOKED_AT.format(missing[0]))
            continue
        seen: Seen = stage.look()
        if not seen.ok:
            failed.add(stage.name)
        yield Result(stage, seen.ok, seen.seen, seen.expected)


def from_name(fqdn: str, resolver: Resolver, options: argparse.Namespace) -> Subject:
    """A distribution point of which only the name is known, with what the options say of it.

    Raises:
        NothingToCheck: the name leads nowhere, and the options give no address.
    """
    site, address = options.site or "", options.address or ""
    if not site or not address:
        try:
            chain = resolver.trace(site or fqdn)
        except LookupFailed as failed:
            raise NothingToCheck(str(failed)) from None
        if not chain.addresses:
            raise NothingToCheck(f"{chain}: there is nothing to check.")
        site = site or chain.names[-1]
        address = address or chain.addresses[0]
    return Subject(
        service=fqdn, fqdn=fqdn, site_fqdn=site, virtual_ip=address, port=options.port or HTTPS_PORT
    )


def from_stack(
    outputs: Mapping[str, Any], keys: Sequence[DistributionPointKeys]
) -> list[tuple[Subject, DistributionPointKeys | None]]:
    """The distribution points of a stack.

    Args:
        outputs: the stack's outputs.
        keys: what its settings say, one entry for each distribution point; none if not known.

    Returns:
        Each one to look at, with what the settings say of it where that is known.

    Raises:
        NothingToCheck: there is none.
    """
    several = outputs.get("distributionPoints")
    points = list(several.values()) if isinstance(several, dict) else [outputs]
    found = []
    for point in points:
        if not point.get("virtualIp") or point.get("status") == "Stopped":
            continue
        subject = Subject(
            service=point["serviceName"],
            fqdn=point["serviceFqdn"],
            site_fqdn=point["siteUrl"],
            virtual_ip=point["virtualIp"],
            port=urlsplit(point["serviceUrl"]).port or HTTPS_PORT,
            thumbprint=point["certificateThumbprint"],
        )
        settings = _of_point(point, keys)
        found.append((_with_settings(subject, settings) if settings else subject, settings))
    if not found:
        raise NothingToCheck("The stack has no distribution point that is not stopped.")
    return found


def _with_settings(subject: Subject, keys: DistributionPointKeys) -> Subject:
    access = keys.access
    return dataclasses.replace(
        subject,
        test_environment=keys.test_environment,
        instances=keys.instances,
        token_key=access.token_key.get_secret_value() if access.token_key else "",
        anonymous=access.anonymous,
        sample=keys.readiness_path or "",
        sample_may_be_missing=True,
    )


def _of_point(
    point: Mapping[str, Any], keys: Sequence[DistributionPointKeys]
) -> DistributionPointKeys | None:
    """The settings of a distribution point, whose names may come from its certificate."""
    if len(keys) == 1:
        return keys[0]
    named = (
        each
        for each in keys
        if point["serviceName"] == each.service_name or point["serviceFqdn"] == each.service_fqdn
    )
    return next(named, None)


def stack_outputs(stack: str, folder: Path) -> Mapping[str, Any]:
    """What `pulumi stack output` says.

    Raises:
        NothingToCheck: it fails.
    """
    return _pulumi(["stack", "output", "--json"], stack, folder)


def stack_keys(stack: str, folder: Path) -> list[DistributionPointKeys]:
    """What the stack's settings say, one entry for each distribution point.

    Raises:
        NothingToCheck: they cannot be read.
    """
    config = _pulumi(["config", "--json", "--show-secrets"], stack, folder)
    prefix = f"{NAMESPACE}:"
    given = {
        key.removeprefix(prefix): value["value"]
        for key, value in config.items()
        if key.startswith(prefix)
    }
    entries, _ = parse_stack(given, environment={}, secret_keys=given.keys())
    return [entry.keys for entry in entries]


def _pulumi(words: Sequence[str], stack: str, folder: Path) -> Mapping[str, Any]:
    command = ["pulumi", *words, "--non-interactive", "--cwd", str(folder)]
    command += ["--stack", stack] if stack else []
    said = f"`pulumi {' '.join(words[:2])}`"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PULUMI_SECONDS
        )
    except FileNotFoundError:
        raise NothingToCheck(
            "There is no `pulumi` on the PATH to ask for the stack: give an FQDN."
        ) from None
    except subprocess.TimeoutExpired:
        raise NothingToCheck(f"{said} did not end within {PULUMI_SECONDS} s.") from None
    if done.returncode:
        raise NothingToCheck(f"{said} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check. Returns the exit code."""
    options = _options(arguments)
    try:
        looks = _looks(options)
    except NothingToCheck as nothing:
        print(nothing, file=sys.stderr)
        return 2
    results: dict[str, list[Result]] = {}
    for subject, resolver, proxy in looks:
        if not options.json and len(looks) > 1:
            print(f"{subject.service}:")
        results[subject.service] = []
        for result in check(stages(subject, resolver=resolver, proxy=proxy)):
            results[subject.service].append(result)
            if not options.json:
                print(_line(result), flush=True)
    if options.json:
        print(json.dumps({name: list(map(_entry, found)) for name, found in results.items()}))
    return 0 if all(result.ok for found in results.values() for result in found) else 1


def _looks(options: argparse.Namespace) -> list[tuple[Subject, Resolver, Proxy]]:
    """What to look at, and how: the options win over the stack, and that over the environment."""
    if options.fqdn:
        resolver, proxy = _ways(options, None)
        subject = _completed(from_name(options.fqdn, resolver, options), options)
        return [(subject, resolver, proxy)]
    try:
        keys = stack_keys(options.stack, options.cwd)
    except NothingToCheck as unknown:
        print(f"Only what the outputs say is checked. {unknown}", file=sys.stderr)
        keys = []
    return [
        (_completed(subject, options), *_ways(options, settings))
        for subject, settings in from_stack(stack_outputs(options.stack, options.cwd), keys)
    ]


def _ways(
    options: argparse.Namespace, keys: DistributionPointKeys | None
) -> tuple[Resolver, Proxy]:
    set_proxy = keys.proxy.get_secret_value() if keys and keys.proxy else ""
    proxy = proxy_from(options.proxy or set_proxy)
    servers = nameservers(options.nameserver or (keys.nameservers if keys else ()))
    # What options and settings say was checked; what the environment says was not.
    if proxy.url:
        _hold(values.proxy_url, proxy.url, "The proxy of the environment")
    for server in servers:
        _hold(values.name_server, server, f'"{server}" in {VARIABLE}')
    return Resolver(servers, proxy=proxy), proxy


def _hold(rule: Callable[[str], str], value: str, what: str) -> None:
    """Holds what the environment says against the rule for the setting.

    Raises:
        NothingToCheck: it breaks it.
    """
    try:
        rule(value)
    except values.Refused as refused:
        raise NothingToCheck(f"{what} {refused}.") from None


def _completed(subject: Subject, options: argparse.Namespace) -> Subject:
    chain_pem = ""
    thumbprint = options.thumbprint or subject.thumbprint
    if options.certificate:
        try:
            chain_pem = options.certificate.read_text()
            thumbprint = served_chain.thumbprint_of_pem(chain_pem)
        except (OSError, ValueError):
            raise NothingToCheck(
                f"{options.certificate} is not a PEM file with the certificate and its chain."
            ) from None
    return dataclasses.replace(
        subject,
        thumbprint=thumbprint.replace(":", "").replace(" ", "").upper(),
        chain_pem=chain_pem,
        instances=options.instances or subject.instances,
        token_key=os.environ.get(TOKEN_KEY_VARIABLE, "") or subject.token_key,
        anonymous=subject.anonymous or bool(options.path),
        sample=options.path or subject.sample,
        sample_may_be_missing=not options.path,
    )


def _argument(rule: Callable[[str], str]) -> Callable[[str], str]:
    """A rule for a setting as the type of an argument, with its sentence."""

    def check(value: str) -> str:
        try:
            return rule(value)
        except values.Refused as refused:
            raise argparse.ArgumentTypeError(f'"{value}" {refused}') from None

    return check


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m components.readiness",
        description="Shows how ready a distribution point is.",
    )
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser(
        "check",
        help="check a distribution point",
        description="Checks a distribution point stage by stage, from this machine.",
        epilog=f"The token key, for the download, is read from {TOKEN_KEY_VARIABLE}.",
    )
    check.add_argument(
        "fqdn",
        nargs="?",
        type=_argument(values.fqdn),
        help="service FQDN; the stack's outputs without it",
    )
    check.add_argument("--stack", default="", help="the stack to ask (default: the selected one)")
    check.add_argument("--cwd", type=Path, default=Path(), help="folder of Pulumi.yaml")
    check.add_argument(
        "--site",
        type=_argument(values.fqdn),
        help="the FQDN in the Azure domain that it should lead to",
    )
    check.add_argument("--address", help="the virtual IP that it should lead to")
    check.add_argument("--port", type=int, help="port of the service (default: 443)")
    check.add_argument("--thumbprint", default="", help="SHA-1 of the certificate it should serve")
    check.add_argument(
        "--certificate", type=Path, help="PEM file with that certificate and its intermediates"
    )
    check.add_argument(
        "--instances", type=int, help="number of instances to meet (default: the stack's, else 1)"
    )
    check.add_argument(
        "--path",
        type=_argument(values.blob_name),
        help="path of content to download, as in the container",
    )
    check.add_argument(
        "--nameserver",
        action="append",
        default=[],
        type=_argument(values.name_server),
        help=f"DNS server to ask; may be repeated (default: the stack's, else {VARIABLE}, else "
        "the system's)",
    )
    check.add_argument(
        "--proxy",
        type=_argument(values.proxy_url),
        help="proxy to go through (default: the stack's, else HTTPS_PROXY)",
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _line(result: Result) -> str:
    mark = {True: "OK    ", False: "FAILED", None: "-     "}[result.ok]
    text = f"{mark} {result.stage.name}: {result.stage.title}: {result.seen}"
    return text if result.ok is not False else f"{text}; expected: {result.expected}"


def _entry(result: Result) -> dict[str, Any]:
    return {
        "stage": result.stage.name,
        "title": result.stage.title,
        "ok": result.ok,
        "seen": result.seen,
        "expected": result.expected,
    }
