"""Alias: the CNAME record that leads from the service FQDN to the name Azure gave."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import pulumi
from pulumi_azure_native import dns

from .settings import DnsMode, DnsSettings


class AliasArgs(TypedDict):
    """What an Alias is made of."""

    fqdn: str
    """Service FQDN, lower case, without a dot at its end."""
    target: pulumi.Input[str]
    """FQDN of the public IP address in the Azure domain."""
    dns: DnsSettings
    """Where the record lives and who may write it."""
    zone_provider: NotRequired[pulumi.ProviderResource | None]
    """Provider of the zone's subscription, where that is another one."""


class Alias(pulumi.ComponentResource):
    """CNAME from the service FQDN to the Azure FQDN, in Azure DNS or for the operator to make."""

    record: pulumi.Output[str]
    """The record as a line of a zone file."""

    def __init__(
        self, name: str, args: AliasArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:Alias", name, None, opts)
        settings = args["dns"]
        if settings.mode is DnsMode.AZURE:
            dns.RecordSet(
                f"{name}-record",
                record_type="CNAME",
                relative_record_set_name=relative_name(args["fqdn"], settings.zone),
                zone_name=settings.zone,
                resource_group_name=settings.resource_group,
                ttl=settings.ttl,
                cname_record=dns.CnameRecordArgs(cname=args["target"]),
                opts=pulumi.ResourceOptions(parent=self, provider=args.get("zone_provider")),
            )
        self.record = pulumi.Output.concat(
            args["fqdn"], ". ", str(settings.ttl), " IN CNAME ", args["target"], "."
        )
        self.register_outputs({"record": self.record})


def relative_name(fqdn: str, zone: str) -> str:
    """The name of a record within its zone: ``dp.eu`` for ``dp.eu.contoso.com``."""
    return fqdn.removesuffix("." + zone)
