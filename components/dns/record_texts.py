"""The alias as an operator would make it by hand: in a zone file, and as commands."""

from __future__ import annotations


def zone_line(fqdn: str, target: str, ttl: int) -> str:
    """The record as a line of a zone file."""
    return f"{fqdn}. {ttl} IN CNAME {target}."


def commands(fqdn: str, target: str, ttl: int, zone: str = "") -> str:
    """Ways to make the record, one for each kind of DNS server, as text for a terminal.

    Args:
        fqdn: name of the record.
        target: name that it leads to.
        ttl: time to live in seconds.
        zone: zone of the record; its parent domain where it is not known.
    """
    zone = zone or fqdn.partition(".")[2]
    name = fqdn.removesuffix(f".{zone}")
    hours, rest = divmod(ttl, 3600)
    span = f"{hours // 24}.{hours % 24:02}:{rest // 60:02}:{rest % 60:02}"
    return f"""\
Zone file:   {zone_line(fqdn, target, ttl)}
Azure DNS:   az network dns record-set cname set-record --resource-group GROUP --zone-name {zone} \
--record-set-name {name} --cname {target} --ttl {ttl}
Windows DNS: Add-DnsServerResourceRecordCName -ZoneName {zone} -Name {name} \
-HostNameAlias {target}. -TimeToLive {span}
BIND:        printf '%s\\n' 'zone {zone}' 'prereq nxdomain {fqdn}' \
'update add {fqdn} {ttl} CNAME {target}.' send | nsupdate -k KEYFILE
"""
