"""The alias as an operator makes it by hand: what stands there, and how to make or change it."""

from __future__ import annotations

from dataclasses import dataclass

from .lookups import Answer, LookupFailed, Resolver


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What stands at a name; all of it empty where nothing does, or nobody says."""

    zone: str = ""
    """The zone that its records are in."""
    alias_of: str = ""
    """Where its alias (CNAME) leads."""
    other: str = ""
    """What else there is, in words that go on after the name."""


def standing(fqdn: str, resolver: Resolver) -> Standing:
    """Looks what stands at a name, at the zone's own servers where they can be asked."""
    try:
        zone = resolver.zone_of(fqdn)
        answer = resolver.authoritative(fqdn).step(fqdn)
    except LookupFailed:
        zone = ""
        try:
            answer = resolver.step(fqdn)
        except LookupFailed:
            return Standing()
    if answer.aliases:
        return Standing(zone=zone, alias_of=answer.aliases[0])
    return Standing(zone=zone, other=in_words(answer) if answer.values else "")


def in_words(answer: Answer) -> str:
    """What a server says of a name, in words that go on after it."""
    if answer.delegated_to:
        return f"is a zone of its own, delegated to {', '.join(answer.delegated_to)}"
    if answer.aliases:
        return f"is an alias (CNAME) of {answer.aliases[0]}"
    return f"has the address {', '.join(answer.values)}"


def request(fqdn: str, target: str, ttl: int, there: Standing) -> str:
    """What to ask of the operator, as text for a terminal; empty where the alias is right.

    Args:
        fqdn: name of the record.
        target: name that it is to lead to.
        ttl: time to live in seconds.
        there: what stands there.
    """
    if there.alias_of == target:
        return ""
    if there.alias_of:
        ask = f"{fqdn} is an alias (CNAME) of {there.alias_of}. Change it, in one of these ways:"
    elif there.other:
        ask = f"{fqdn} {there.other}. Remove that, and create this record, in one of these ways:"
    else:
        ask = "Create this record, in one of these ways:"
    return f"{ask}\n{commands(fqdn, target, ttl, zone=there.zone, instead_of=there.alias_of)}"


def zone_line(fqdn: str, target: str, ttl: int) -> str:
    """The record as a line of a zone file."""
    return f"{fqdn}. {ttl} IN CNAME {target}."


def commands(fqdn: str, target: str, ttl: int, *, zone: str = "", instead_of: str = "") -> str:
    """Ways to make the record, one for each kind of DNS server, as text for a terminal.

    Args:
        fqdn: name of the record.
        target: name that it leads to.
        ttl: time to live in seconds.
        zone: zone of the record; where it is not known, ZONE and NAME stand for its parts.
        instead_of: where an alias leads that is there already, and to be changed.
    """
    name = fqdn.removesuffix(f".{zone}") if zone else "NAME"
    place = zone or "ZONE"
    hours, rest = divmod(ttl, 3600)
    span = f"{hours // 24}.{hours % 24:02}:{rest // 60:02}:{rest % 60:02}"
    remove = ""
    update = [f"zone {zone}"] * bool(zone)
    if instead_of:
        remove = (
            f"Remove-DnsServerResourceRecord -ZoneName {place} -Name {name} -RRType CName -Force; "
        )
        update += [f"prereq yxrrset {fqdn} CNAME {instead_of}.", f"update delete {fqdn} CNAME"]
    else:
        update += [f"prereq nxdomain {fqdn}"]
    update += [f"update add {fqdn} {ttl} CNAME {target}.", "send"]
    return f"""\
Zone file:   {zone_line(fqdn, target, ttl)}
Azure DNS:   az network dns record-set cname set-record --resource-group GROUP --zone-name {place} \
--record-set-name {name} --cname {target} --ttl {ttl}
Windows DNS: {remove}Add-DnsServerResourceRecordCName -ZoneName {place} -Name {name} \
-HostNameAlias {target}. -TimeToLive {span}
BIND:        printf '%s\\n' {" ".join(f"'{line}'" for line in update)} | nsupdate -k KEYFILE
"""
