"""What is known about names before anything is made: which are in use already.

A name of Azure's that resolves is taken, since no function of the provider tells so. Whether it is
taken by the stack itself only the caller can say, and is asked only where something resolves.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from ..clouds import Cloud
from ..naming import Names
from .by_hand import in_words
from .lookups import Answer, LookupFailed, Resolver

MOST_AT_ONCE = 16


class Holder(StrEnum):
    """What a name belongs to, and the setting that chooses another one."""

    SERVICE = "serviceFqdn"
    ADDRESS = "dnsLabel"
    STORAGE = "storageAccountName"
    VAULT = "keyVaultName"


@dataclass(frozen=True)
class Taken:
    """A name that leads somewhere."""

    holder: Holder
    chosen: str
    """The value of the setting."""
    name: str
    """The whole name that was looked up."""
    leads_to: tuple[str, ...]
    """Names and addresses that it leads to, in order."""
    alias_of: str
    """The first of them, if an alias (CNAME) leads there, else empty."""
    found: str
    """The same in words."""
    asked: Resolver
    """Who said so."""


@dataclass(frozen=True)
class Found:
    """What the look-ups for one distribution point brought."""

    taken: tuple[Taken, ...]
    warnings: tuple[str, ...]
    """Look-ups that failed, one sentence each: they are no reason to refuse."""


def look_up(names: Names, cloud: Cloud, resolver: Resolver) -> Found:
    """Looks up the four names that others may hold.

    The service FQDN is looked up at the zone's own servers: a cache may not know a new record yet,
    and would keep for a while that there is none.

    Args:
        names: names of the distribution point.
        cloud: its cloud.
        resolver: whom to ask.
    """
    azure = (
        (Holder.ADDRESS, names.dns_label, names.site_fqdn),
        (Holder.STORAGE, names.storage_account, blob_host(names, cloud)),
        (Holder.VAULT, names.key_vault, vault_host(names, cloud)),
    )
    tasks = [functools.partial(_azure_name, *entry, resolver) for entry in azure]
    if names.fqdn != names.site_fqdn:
        tasks.insert(0, functools.partial(_service_name, names, resolver))
    taken: list[Taken] = []
    warnings: list[str] = []
    with ThreadPoolExecutor(len(tasks)) as pool:
        for task in [pool.submit(task) for task in tasks]:
            try:
                if holder := task.result():
                    taken.append(holder)
            except LookupFailed as failed:
                warnings.append(f"{failed} Whether that name is free is not known.")
    return Found(tuple(taken), tuple(warnings))


def look_up_each(points: Sequence[tuple[Names, Cloud, Resolver]]) -> list[Found]:
    """The same for several distribution points side by side, in their order."""
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(points)) or 1) as pool:
        return list(pool.map(lambda point: look_up(*point), points))


def refusals(found: Found, is_ours: Callable[[Taken], bool]) -> tuple[list[str], list[str]]:
    """Says what is in the way.

    Args:
        found: what the look-ups brought.
        is_ours: tells whether a name that leads somewhere is the stack's own. It may ask Azure.

    Returns:
        Problems and warnings, one sentence each.
    """
    problems: list[str] = []
    warnings = list(found.warnings)
    for taken in found.taken:
        if is_ours(taken):
            continue
        if _answers_for_any_name(taken):
            warnings.append(
                f"{taken.asked} answers for names that nobody has, such as {taken.name}: whether "
                f"{taken.holder} {taken.chosen} is free is not known."
            )
        elif taken.holder is Holder.SERVICE:
            problems.append(
                f"{taken.holder} {taken.chosen} is in use already: {taken.found} (asked "
                f"{taken.asked}). Remove that record, or choose another {taken.holder}."
            )
        else:
            problems.append(
                f"{taken.holder} {taken.chosen} is taken by somebody else ({taken.name}: "
                f"{taken.found}). Set {taken.holder} to another name."
            )
    return problems, warnings


def blob_host(names: Names, cloud: Cloud) -> str:
    """Host name of the storage account's blob service."""
    return f"{names.storage_account}.blob.{cloud.storage_suffix}"


def vault_host(names: Names, cloud: Cloud) -> str:
    """Host name of the vault."""
    return f"{names.key_vault}.{cloud.vault_suffix}".lower()


def _azure_name(holder: Holder, chosen: str, name: str, resolver: Resolver) -> Taken | None:
    answer = resolver.step(name)
    if answer.delegated_to:
        raise LookupFailed(
            f"{name} could not be looked up: {answer.server} only knows whom else to ask."
        )
    return _taken(holder, chosen, answer, resolver)


def _service_name(names: Names, resolver: Resolver) -> Taken | None:
    """What stands at the service FQDN, but for an alias to the distribution point itself.

    Many networks let nobody ask foreign name servers: what the resolver knows counts then. Only
    that it knows nothing means little.
    """
    try:
        servers = resolver.authoritative(names.fqdn)
        answers = [servers.ask(names.fqdn, kind) for kind in ("A", "AAAA")]
    except LookupFailed:
        servers = resolver
        answers = [resolver.step(names.fqdn), resolver.ask(names.fqdn, "AAAA")]
        if not any(answer.aliases or answer.values for answer in answers):
            raise
    if names.site_fqdn in answers[0].aliases:
        return None
    found = (_taken(Holder.SERVICE, names.fqdn, answer, servers) for answer in answers)
    return next(filter(None, found), None)


def _taken(holder: Holder, chosen: str, answer: Answer, asked: Resolver) -> Taken | None:
    leads_to = (*answer.aliases, *answer.values, *answer.delegated_to)
    if not leads_to:
        return None
    alias_of = next(iter(answer.aliases), "")
    return Taken(holder, chosen, answer.name, leads_to, alias_of, f"it {in_words(answer)}", asked)


def _answers_for_any_name(taken: Taken) -> bool:
    """Whether a name that nobody has leads to the same place: a wildcard, or a lying resolver."""
    label, _, domain = taken.name.partition(".")
    nobody = hashlib.sha256(label.encode()).hexdigest()[:20]
    try:
        answers = [taken.asked.ask(f"x{nobody}.{domain}", kind) for kind in ("A", "AAAA")]
    except LookupFailed:
        return False
    return any(
        found >= set(taken.leads_to)
        for answer in answers
        if (found := {*answer.values, *answer.aliases})
    )
