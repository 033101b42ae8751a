"""The service settings: one JSON text in the vault, checked before anything is made of it."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .problem import Problem

VERSION = 1
# Azure keeps metrics for 93.
MOST_DAYS = 90
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
# Rules of Azure for the names of containers.
CONTAINER = re.compile(r"[a-z0-9](-?[a-z0-9])+")
Value = TypeVar("Value")


@dataclass(frozen=True, repr=False)
class Access:
    """Who may have content. Any one way in is enough."""

    anonymous: bool
    token_keys: tuple[str, ...]
    client_trust_roots: str
    """PEM, empty where client certificates are no way in."""
    revocation_lists: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ServiceSettings:
    """What the instances are told, and may be told anew at any time."""

    fqdn: str
    storage_host: str
    container: str
    certificate_id: str
    certificate_format: str
    access: Access
    text: str
    """The text that it was read from."""

    @classmethod
    def parse(cls, text: str) -> ServiceSettings:
        """Reads the JSON text.

        Raises:
            Problem: it is not what this agent understands.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise Problem("The service settings are not JSON.") from error
        if not isinstance(values, dict) or values.get("version") != VERSION:
            raise Problem(f"The service settings are not of version {VERSION}.")
        storage = _part(values, "storage")
        certificate = _part(values, "certificate")
        access = _part(values, "access")
        roots = _value(access, "clientTrustRoots", str)
        if roots.strip():
            _check_roots(roots)
        return cls(
            fqdn=_matching(HOST, _value(values, "fqdn", str), "fqdn"),
            storage_host=_matching(HOST, _host(_value(storage, "url", str)), "storage.url"),
            container=_matching(CONTAINER, _value(storage, "container", str), "storage.container"),
            certificate_id=_value(certificate, "secretId", str),
            certificate_format=_value(certificate, "format", str),
            access=Access(
                anonymous=_value(access, "anonymous", bool),
                token_keys=_texts(access, "tokenKeys"),
                client_trust_roots=roots.strip(),
                revocation_lists=_texts(access, "revocationLists"),
            ),
            text=text,
        )


@dataclass(frozen=True)
class UsageSettings:
    """What the service settings say of quotas, and of what is needed to keep count.

    It is read apart, so that a fault in it keeps nothing from being served.
    """

    transfer_quota: int
    """Bytes that may be sent in the transfer period."""
    period_days: int
    storage_quota: int
    """Bytes that may be stored."""
    warning_percent: int
    critical_percent: int
    stop_at_critical: bool
    balancer: str
    """Id of the load balancer."""
    port: int
    """Port of the load balancer that clients come in on."""
    account: str
    """Id of the storage account."""
    logs_url: str
    """Where rows are posted."""

    @classmethod
    def parse(cls, text: str) -> UsageSettings:
        """Reads the JSON text of the service settings.

        Raises:
            Problem: no count can be kept with it.
        """
        values = json.loads(text)
        quotas, metrics, logs = (_part(values, name) for name in ("quotas", "metrics", "logs"))
        endpoint = _value(logs, "endpoint", str).rstrip("/")
        rule, stream = _value(logs, "ruleId", str), _value(logs, "stream", str)
        if urlsplit(endpoint).scheme != "https":
            raise Problem("The service settings' logs.endpoint is not a https URL.")
        days = _positive(quotas, "periodDays")
        if days > MOST_DAYS:
            raise Problem(f"The service settings' periodDays are above {MOST_DAYS}.")
        return cls(
            transfer_quota=_positive(quotas, "transferBytes"),
            period_days=days,
            storage_quota=_positive(quotas, "storageBytes"),
            warning_percent=_positive(quotas, "warningPercent"),
            critical_percent=_positive(quotas, "criticalPercent"),
            stop_at_critical=_value(quotas, "stopAtCritical", bool),
            balancer=_value(metrics, "loadBalancerId", str),
            port=_positive(metrics, "port"),
            account=_value(_part(values, "storage"), "accountId", str),
            logs_url=f"{endpoint}/dataCollectionRules/{rule}/streams/{stream}",
        )


def _host(text: str) -> str:
    """The host of storage's URL."""
    with contextlib.suppress(ValueError):
        url = urlsplit(text)
        if url.scheme == "https" and url.port is None:
            return url.hostname or ""
    raise Problem("The service settings' storage.url is not a plain https URL.")


def _part(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return _value(values, name, dict)


def _value(values: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    value = values.get(name)
    if not isinstance(value, kind):
        raise Problem(f"The service settings lack {name}.")
    return value


def _positive(values: Mapping[str, Any], name: str) -> int:
    number = _value(values, name, int)
    if number < 1:
        raise Problem(f"The service settings' {name} is not above 0.")
    return number


def _texts(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = _value(values, name, list)
    if not all(isinstance(text, str) and text for text in texts):
        raise Problem(f"The service settings' {name} are not all texts.")
    return tuple(texts)


def _matching(rule: re.Pattern[str], text: str, name: str) -> str:
    if not rule.fullmatch(text):
        raise Problem(f"The service settings' {name} is not a name that can be used.")
    return text


def _check_roots(roots: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=roots)
    except (ssl.SSLError, ValueError) as error:
        raise Problem("The service settings' clientTrustRoots are not certificates.") from error
