"""A stack's configuration for the tests of the settings: complete, but for what a test changes."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from components.settings import DistributionPointSettings, SettingsError, load

from .certificates import PASSWORD, intermediate, make_pfx, root

TOKEN_KEY = "0123456789abcdef0123456789abcdef"
ENCRYPTED = ("access", "certificate", "distributionPoints", "dns")
"""The keys that the stack file of a careful user keeps encrypted."""
GUID = "6e7d5c1a-3b1f-4c58-9b0a-0d6f1c9f2a11"
VNET = f"/subscriptions/{GUID}/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n"
NOBODY_TOLD = "alertEmails and alertWebhooks are empty: alerts will fire, and nobody will be told."


@functools.cache
def folder() -> Path:
    """A folder with the files that settings name."""
    path = Path(tempfile.mkdtemp(prefix="settings-"))
    atexit.register(shutil.rmtree, path)
    files = {
        "cdp1.pfx": make_pfx("cdp1.contoso.com"),
        "cdp2.pfx": make_pfx("cdp2.contoso.com"),
        "both.pfx": make_pfx("cdp1.contoso.com", names=["cdp1.contoso.com", "cdp2.contoso.com"]),
        "wildcard.pfx": make_pfx("*.contoso.com"),
        "self-signed.pfx": make_pfx("cdp1.contoso.com", self_signed=True),
        "expiring.pfx": make_pfx("cdp1.contoso.com", ends=timedelta(days=10)),
        "azure.pfx": make_pfx("cdp1.westeurope.cloudapp.azure.com"),
        "label.pfx": make_pfx("a.contoso.com"),
        "intranet.pfx": make_pfx("cdp1"),
        "root.cer": root().certificate.public_bytes(Encoding.DER),
        "roots.pem": _pem(root().certificate, intermediate().certificate),
    }
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def config(**changed: Any) -> dict[str, str]:
    """What the engine hands over: text, which is JSON for everything but strings."""
    keys = {
        "region": "West Europe",
        "certificate": {"pfxFile": "cdp1.pfx", "password": PASSWORD},
        "access": {"tokenKey": TOKEN_KEY},
        "alertEmails": ["team@contoso.com"],
        **changed,
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in keys.items()
        if value is not None
    }


def loaded_all(
    *,
    azure: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    secret_keys: tuple[str, ...] = ENCRYPTED,
    others: tuple[str, ...] = (),
    **changed: Any,
) -> tuple[DistributionPointSettings, ...]:
    """The entries of a good stack."""
    return load(
        config(**changed),
        root=folder(),
        azure=azure or {},
        environment=environment or {},
        secret_keys=secret_keys,
        others=others,
    )


def loaded(**changed: Any) -> DistributionPointSettings:
    """The one entry of a good stack."""
    (entry,) = loaded_all(**changed)
    return entry


def problems(
    *,
    azure: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    secret_keys: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    **changed: Any,
) -> list[str]:
    """Every sentence about a bad stack."""
    try:
        loaded_all(
            azure=azure,
            environment=environment,
            secret_keys=secret_keys,
            others=others,
            **changed,
        )
    except SettingsError as error:
        return error.problems
    return []
