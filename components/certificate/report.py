"""Prints what is seen in a PFX, so that an operator can check it before deploying.

``python -m components.certificate check FILE``
"""

from __future__ import annotations

import argparse
import getpass
import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import pkcs12
from .leaf import (
    Leaf,
    shown_name,
    usage_name,
)
from .rules import CertificateError, Refusal, listed, printable
from .service_certificate import bundle, find, judge, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .chain import Chain

PASSWORD_VARIABLE = "CLOUDDP_CERTIFICATE_PASSWORD"  # noqa: S105 - the variable's name
_WARNING_DAYS = 30
_LONGEST_PASSWORD = 10_000
_REFUSED = 1
_NO_PASSWORD = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit code: 0 for a certificate that would be accepted, 1 for one that would be refused,
        2 where the password cannot be had, 130 where somebody interrupts it.
    """
    chosen = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names may have letters that this terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
    try:
        return _check(chosen)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _REFUSED


def _check(chosen: argparse.Namespace) -> int:
    try:
        data = pkcs12.read_file(chosen.file)
        pfx = _open(data, chosen.password_file)
        lines, accepted = report(
            pfx, fqdn=chosen.fqdn, test_environment=chosen.test_environment, now=datetime.now(UTC)
        )
    except CertificateError as error:
        for problem in error.problems:
            print(f'refused: "{printable(chosen.file)}" {problem}.', file=sys.stderr)
        return _REFUSED
    except _NoPasswordError as error:
        print(error, file=sys.stderr)
        return _NO_PASSWORD
    print("\n".join(lines), flush=True)
    return 0 if accepted else _REFUSED


def report(
    pfx: pkcs12.Pfx, *, fqdn: str | None, test_environment: bool, now: datetime
) -> tuple[list[str], bool]:
    """What is seen in a PFX, line by line, and whether it would be accepted.

    Raises:
        CertificateError: there is no certificate in it that could be shown.
    """
    wanted = normalised(fqdn)
    leaf, chain = find(pfx, wanted, now)
    findings = judge(
        leaf,
        chain,
        fqdn=wanted,
        test_environment=test_environment,
        warning_days=_WARNING_DAYS,
        now=now,
    )
    refusals = list(findings.refusals)
    lines = [f"{label + ':':<14}{text}" for label, text in _facts(leaf, chain, now)]
    try:
        if leaf.dns_names:
            lines.append(f"{'service FQDN:':<14}{wanted or leaf.default_fqdn()}")
        if not refusals:
            bundle(pfx, leaf, chain)
    except CertificateError as error:
        refusals += error.problems
    lines += [f"refused: it {problem}." for problem in refusals]
    lines += [f"warning: it {warning}." for warning in findings.warnings]
    lines.append("It would be refused." if refusals else "It would be accepted.")
    return lines, not refusals


def _facts(leaf: Leaf, chain: Chain, now: datetime) -> Iterator[tuple[str, str]]:
    yield "subject", leaf.subject
    yield "issuer", leaf.issuer + (" (self-signed)" if leaf.self_signed else "")
    yield "names", listed(leaf.dns_names) + (" (subject only)" if leaf.name_in_subject else "")
    wildcards = [name for name in leaf.dns_names if name.startswith("*.")]
    for name in wildcards[:1]:
        yield "can serve", f"host{name[1:]} and any other one label in place of *"
    yield "usages", "none given" if leaf.usages is None else ", ".join(map(usage_name, leaf.usages))
    bits = f", {leaf.rsa_bits} bits" if leaf.rsa_bits else ""
    yield "key", leaf.key_kind + bits
    yield "signature", leaf.signature
    left = f" ({(leaf.not_after - now).days} days left)" if leaf.valid(now) else ""
    yield "valid", f"{printable(leaf.not_before)} to {printable(leaf.not_after)}{left}"
    yield "thumbprint", leaf.thumbprint
    for place, each in enumerate(chain.intermediates, start=1):
        end = printable(each.not_valid_after_utc)
        yield f"chain {place}", f"{shown_name(each.subject)} (until {end})"
    if chain.root is not None:
        yield "root", f"{shown_name(chain.root.subject)} (in the file, not sent)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.certificate",
        description="Shows what the deployment sees in a PFX file.",
    )
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser(
        "check",
        help="check a PFX file",
        allow_abbrev=False,  # or --password would be taken for --password-file
        description=(
            "Shows names, usages, chain, dates and thumbprint of a PFX file, and whether a "
            "deployment would accept it. The password is asked for, unless it is in "
            f"--password-file or the environment variable {PASSWORD_VARIABLE}."
        ),
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the PFX file")
    check.add_argument("--fqdn", help="the service FQDN, where the stack sets one")
    check.add_argument(
        "--test-environment",
        action="store_true",
        help="allow wildcard and self-signed certificates, as testEnvironment does",
    )
    check.add_argument("--password-file", type=Path, metavar="PATH", help="file with the password")
    return parser


class _NoPasswordError(Exception):
    """A password is needed, and there is no way to ask for it."""


def _open(data: bytes, password_file: Path | None) -> pkcs12.Pfx:
    """Opens a PFX, asking for its password only where it has one."""
    if password_file is not None:
        return pkcs12.open_pfx(data, _password_in(password_file))
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is not None:
        return pkcs12.open_pfx(data, password)
    try:
        return pkcs12.open_pfx(data, None)
    except CertificateError as error:
        if error.rules != (Refusal.LOCKED,):
            raise
    if not sys.stdin.isatty():
        raise _NoPasswordError(
            f"The file has a password: give it in --password-file or {PASSWORD_VARIABLE}."
        )
    try:
        return pkcs12.open_pfx(data, getpass.getpass("Password of the PFX: "))
    except (EOFError, UnicodeDecodeError):
        # The second one's own words would show a part of what was typed.
        raise _NoPasswordError(
            "No password was given, or one with bytes that this terminal's encoding does not have: "
            f"use --password-file or {PASSWORD_VARIABLE}."
        ) from None


def _password_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_PASSWORD)
    except OSError as error:
        raise _NoPasswordError(
            f'The password file "{printable(path)}" cannot be read: {error.strerror}.'
        ) from None
    return data.decode("utf-8-sig", "surrogateescape").removesuffix("\n").removesuffix("\r")
