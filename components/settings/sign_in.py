"""Checks the client certificate with which the Azure provider signs in, before Azure is asked.

Pure: bytes and a password in, warnings or a CertificateError out. The provider's own reader is
older and narrower than ours, and its messages name object identifiers; so what it cannot read is
refused here, with the command that makes a file which it can.

Sources: pulumi/pulumi-azure-native ``provider/pkg/provider/auth_azidentity.go`` (which settings
count, and in which order),
Azure/azure-sdk-for-go ``sdk/azidentity`` (``ParseCertificates``: PEM without a password, PKCS#12),
golang.org/x/crypto ``pkcs12`` (3DES and RC2-40, SHA-1, 2^20 rounds, two parts),
AzureAD/microsoft-authentication-library-for-go (RSA keys only).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .. import values
from ..certificate import pkcs12
from ..certificate.leaf import (
    Leaf,
    leaves_of,
    reading,
)
from ..certificate.rules import CertificateError, Findings, Refusal
from .parsing import sentence, shown_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_READABLE_CIPHERS = frozenset({pkcs12.TRIPLE_DES, pkcs12.RC2_40})
_PARTS = 2
_MOST_ROUNDS = 1 << 20
_PEM_BEGIN = b"-----BEGIN "
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_KEY_BLOCKS = frozenset({b"PRIVATE KEY", b"RSA PRIVATE KEY"})


def check_sign_in(
    azure: Mapping[str, str], environment: Mapping[str, str], *, root: Path
) -> tuple[list[str], list[str]]:
    """Checks the client certificate, if that is what the provider would sign in with.

    Args:
        azure: the keys of namespace ``azure-native``, without it.
        environment: environment variables, which count where a key is not set.
        root: the folder of `Pulumi.yaml`, where relative paths start.

    Returns:
        Problems and warnings, each a whole sentence.
    """

    def given(key: str, variable: str) -> tuple[str, str]:
        if key in azure:
            return f"azure-native:{key}", azure[key]
        return variable, environment.get(variable, "")

    _, default = given("useDefaultAzureCredential", "ARM_USE_DEFAULT_AZURE_CREDENTIAL")
    key, name = given("clientCertificatePath", "ARM_CLIENT_CERTIFICATE_PATH")
    _, password = given("clientCertificatePassword", "ARM_CLIENT_CERTIFICATE_PASSWORD")
    if not name or default == "true":
        return [], []
    try:
        data = pkcs12.read_file(root / values.path(name), "certificate")
        return [], [
            sentence(key, shown_value(name), warning)
            for warning in check_client_certificate(data, password)
        ]
    except values.Refused as error:
        return [sentence(key, "", str(error))], []
    except CertificateError as error:
        return [sentence(key, shown_value(name), problem) for problem in error.problems], []


def check_client_certificate(
    data: bytes,
    password: str | None,
    *,
    warning_days: int = 30,
    now: datetime | None = None,
) -> tuple[str, ...]:
    """Checks the file that ``azure-native:clientCertificatePath`` names.

    Args:
        data: its bytes: a PFX, or PEM with certificate and key.
        password: ``azure-native:clientCertificatePassword``; None and "" are the same.
        warning_days: days before its end from which on a warning says so.
        now: the time to check against; the clock's by default.

    Returns:
        Warnings that go on after "<key> <value>".

    Raises:
        CertificateError: signing in with it cannot work; a ``.publishsettings`` file is recognised.
    """
    now = now or datetime.now(UTC)
    findings = Findings()
    if _PEM_BEGIN in data[: pkcs12.LARGEST_FILE]:
        pfx = _from_pem(data, password)
    else:
        pfx = pkcs12.open_pfx(data, password)
        _judge_protection(findings, pfx.outline)
    leaf = _only_leaf(pfx)
    if leaf.key_kind != "RSA":
        findings.refuse(Refusal.SIGN_IN_KEY, kind=leaf.key_kind)
    findings.judge_dates(leaf.not_before, leaf.not_after, now=now, warning_days=warning_days)
    findings.stop_if_refused()
    return findings.warnings


def _judge_protection(findings: Findings, outline: pkcs12.Outline) -> None:
    strange = [each for each in outline.ciphers if each not in _READABLE_CIPHERS]
    if outline.mac not in (None, pkcs12.SHA1):
        strange.append(outline.mac)
    if strange:
        names = dict.fromkeys(pkcs12.ALGORITHMS.get(each, each) for each in strange)
        findings.refuse(Refusal.SIGN_IN_ALGORITHM, algorithms=", ".join(names))
    elif outline.most_rounds > _MOST_ROUNDS:
        findings.refuse(Refusal.SIGN_IN_ROUNDS, rounds=outline.most_rounds, limit=_MOST_ROUNDS)
    elif outline.mac is None or outline.parts != _PARTS:
        mac = "with a MAC" if outline.mac else "without a MAC"
        findings.refuse(Refusal.SIGN_IN_SHAPE, parts=outline.parts, mac=mac)


def _only_leaf(pfx: pkcs12.Pfx) -> Leaf:
    if not pfx.keys:
        raise Refusal.NO_KEY.error()
    leaves = leaves_of(pfx)
    if not leaves:
        raise Refusal.KEY_MISMATCH.error(names=f"{len(pfx.certificates)} in all")
    if len(leaves) > 1:
        names = tuple(leaf.subject for leaf in leaves)
        raise Refusal.SIGN_IN_SEVERAL.error(count=len(leaves), names=names)
    return leaves[0]


def _from_pem(data: bytes, password: str | None) -> pkcs12.Pfx:
    kinds = _PEM_BLOCK.findall(data)
    keys = [kind for kind in kinds if kind.endswith(b"PRIVATE KEY")]
    if password:
        raise Refusal.SIGN_IN_PEM.error(reason="a password is given")
    if len(keys) > 1:
        raise Refusal.SIGN_IN_PEM.error(reason="it has more than one key")
    if not keys:
        raise Refusal.NO_KEY.error()
    if keys[0] not in _KEY_BLOCKS or b"ENCRYPTED" in data:
        raise Refusal.SIGN_IN_PEM.error(reason=f"its key is in a block {keys[0].decode()}")
    if b"CERTIFICATE" not in kinds:
        raise Refusal.NO_CERTIFICATE.error()
    with reading("the client certificate"):
        key = load_pem_private_key(data, None)
        certificates = tuple(x509.load_pem_x509_certificates(data))
    return pkcs12.Pfx(keys=(key,), certificates=certificates, outline=pkcs12.Outline())
