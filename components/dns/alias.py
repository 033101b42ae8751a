"""Alias: the CNAME record that leads from the service FQDN to the name Azure gave."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import NotRequired, TypedDict

import pulumi
from pulumi_azure_native import dns

from ..settings import DnsMode, DnsSettings
from .by_hand import request, standing, zone_line
from .dynamic_cname import DynamicCname
from .lookups import Resolver
from .updates import Zone


def mark() -> dict[str, str]:
    """What a record in an Azure DNS zone carries as its metadata, to be known as the stack's.

    Whoever turns the record elsewhere leaves the mark on it (Microsoft Learn, "DNS zones and
    records overview", Tags and metadata).
    """
    return {"pulumi": f"{pulumi.get_project()}/{pulumi.get_stack()}"}


class AliasArgs(TypedDict):
    """What an Alias is made of."""

    fqdn: str
    """Service FQDN, lower case, without a dot at its end."""
    target: pulumi.Input[str]
    """FQDN of the public IP address in the Azure domain."""
    dns: DnsSettings
    """Where the record lives and who may write it."""
    resolver: Resolver
    """Whom to ask what stands there, where the operator makes the record."""
    zone_provider: NotRequired[pulumi.ProviderResource | None]
    """Provider of the zone's subscription, where that is another one."""


class Alias(pulumi.ComponentResource):
    """CNAME from the service FQDN to the Azure FQDN.

    It is a record in an Azure DNS zone, a record that a dynamic update keeps in the organisation's
    own DNS, or one for the operator to make, who is shown how.
    """

    record: pulumi.Output[str]
    """The record as a line of a zone file."""

    def __init__(
        self, name: str, args: AliasArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:Alias", name, None, opts)
        settings = args["dns"]
        match settings.mode:
            case DnsMode.AZURE:
                dns.RecordSet(
                    f"{name}-record",
                    record_type="CNAME",
                    relative_record_set_name=relative_name(args["fqdn"], settings.zone),
                    zone_name=settings.zone,
                    resource_group_name=settings.resource_group,
                    ttl=settings.ttl,
                    cname_record=dns.CnameRecordArgs(cname=args["target"]),
                    metadata=mark(),
                    opts=pulumi.ResourceOptions(parent=self, provider=args.get("zone_provider")),
                )
            case DnsMode.RFC2136:
                zone = own_zone(settings)
                DynamicCname(
                    f"{name}-record",
                    fqdn=args["fqdn"],
                    target=args["target"],
                    server=zone.server,
                    zone=zone.name,
                    key_name=zone.key_name,
                    key_algorithm=zone.key_algorithm,
                    key_secret=zone.key_secret,
                    ttl=settings.ttl,
                    opts=pulumi.ResourceOptions(parent=self),
                )
            case DnsMode.MANUAL:
                pulumi.Output.from_input(args["target"]).apply(
                    lambda target: self._ask_for_it(args, target)
                )
        self.record = pulumi.Output.from_input(args["target"]).apply(
            lambda target: zone_line(args["fqdn"], target, settings.ttl)
        )
        self.register_outputs({"record": self.record})

    async def _ask_for_it(self, args: AliasArgs, target: str) -> None:
        """Shows the operator what to make or to change, where the alias is not right already."""
        settings = args["dns"]
        there = await asyncio.to_thread(standing, args["fqdn"], args["resolver"])
        if settings.zone:
            there = replace(there, zone=settings.zone)
        if text := request(args["fqdn"], target, settings.ttl, there):
            pulumi.log.info(text, self)


def relative_name(fqdn: str, zone: str) -> str:
    """The name of a record within its zone: ``dp.eu`` for ``dp.eu.contoso.com``."""
    return fqdn.removesuffix("." + zone)


def own_zone(settings: DnsSettings) -> Zone:
    """The organisation's own zone that a dynamic update goes to."""
    return Zone(
        name=settings.zone,
        server=settings.server,
        key_name=settings.key_name,
        key_algorithm=settings.key_algorithm.value,
        key_secret=settings.key_secret.get_secret_value() if settings.key_secret else "",
    )
