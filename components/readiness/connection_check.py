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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..certificate import served as served_chain
from ..dns.lookups import LookupFailed, Resolver, nameservers
from ..proxy import HTTPS_PORT, proxy_from
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


def from_outputs(outputs: Mapping[str, Any]) -> list[Subject]:
    """The distribution points of a stack, from its outputs.

    Raises:
        NothingToCheck: there is none.
    """
    several = outputs.get("distributionPoints")
    points = list(several.values()) if isinstance(several, dict) else [outputs]
    found = [
        Subject(
            service=point["serviceName"],
            fqdn=point["serviceFqdn"],
            site_fqdn=point["siteUrl"],
            virtual_ip=point["virtualIp"],
            port=urlsplit(point["serviceUrl"]).port or HTTPS_PORT,
            thumbprint=point["certificateThumbprint"],
        )
        for point in points
        if point.get("virtualIp") and point.get("status") != "Stopped"
    ]
    if not found:
        raise NothingToCheck("The stack has no distribution point that is not stopped.")
    return found


def stack_outputs(stack: str, folder: Path) -> Mapping[str, Any]:
    """What `pulumi stack output` says.

    Raises:
        NothingToCheck: it fails.
    """
    command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--cwd", str(folder)]
    command += ["--stack", stack] if stack else []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PULUMI_SECONDS
        )
    except FileNotFoundError:
        raise NothingToCheck(
            "There is no `pulumi` on the PATH to ask for the stack's outputs: give an FQDN."
        ) from None
    except subprocess.TimeoutExpired:
        raise NothingToCheck(
            f"`pulumi stack output` did not end within {PULUMI_SECONDS} s."
        ) from None
    if done.returncode:
        raise NothingToCheck(f"`pulumi stack output` failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check. Returns the exit code."""
    options = _options(arguments)
    proxy = proxy_from(options.proxy)
    resolver = Resolver(nameservers(options.nameserver), proxy=proxy)
    try:
        if options.fqdn:
            subjects = [from_name(options.fqdn.lower().rstrip("."), resolver, options)]
        else:
            subjects = from_outputs(stack_outputs(options.stack, options.cwd))
        subjects = [_completed(subject, options) for subject in subjects]
    except NothingToCheck as nothing:
        print(nothing, file=sys.stderr)
        return 2
    results: dict[str, list[Result]] = {}
    for subject in subjects:
        if not options.json and len(subjects) > 1:
            print(f"{subject.service}:")
        results[subject.service] = []
        for result in check(stages(subject, resolver=resolver, proxy=proxy)):
            results[subject.service].append(result)
            if not options.json:
                print(_line(result), flush=True)
    if options.json:
        print(json.dumps({name: list(map(_entry, found)) for name, found in results.items()}))
    return 0 if all(result.ok for found in results.values() for result in found) else 1


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
        instances=options.instances,
        token_key=os.environ.get(TOKEN_KEY_VARIABLE, ""),
        anonymous=bool(options.path),
        sample=options.path.removeprefix("/"),
    )


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
    check.add_argument("fqdn", nargs="?", help="service FQDN; the stack's outputs without it")
    check.add_argument("--stack", default="", help="the stack to ask (default: the selected one)")
    check.add_argument("--cwd", type=Path, default=Path(), help="folder of Pulumi.yaml")
    check.add_argument("--site", help="the FQDN in the Azure domain that it should lead to")
    check.add_argument("--address", help="the virtual IP that it should lead to")
    check.add_argument("--port", type=int, help="port of the service (default: 443)")
    check.add_argument("--thumbprint", default="", help="SHA-1 of the certificate it should serve")
    check.add_argument(
        "--certificate", type=Path, help="PEM file with that certificate and its intermediates"
    )
    check.add_argument(
        "--instances", type=int, default=1, help="number of instances to meet (default: 1)"
    )
    check.add_argument(
        "--path", default="", help="path of content to download, as in the container"
    )
    check.add_argument(
        "--nameserver",
        action="append",
        default=[],
        help="DNS server to ask; may be repeated (default: CLOUDDP_NAMESERVERS, else the system's)",
    )
    check.add_argument("--proxy", help="proxy to go through (default: HTTPS_PROXY)")
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
