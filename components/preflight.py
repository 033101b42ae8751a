"""Checks before anything is made, of what the stack's settings cannot show by themselves.

Are the names that others may hold free, or ours already? A name of Azure's that resolves is taken,
and a service FQDN that leads elsewhere belongs to another device. Only where a name resolves is
Azure asked whether it is this distribution point's own. And can a role open the vault that holds
the certificate, where that is another one than the service's own?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pulumi
from pulumi_azure_native import authorization, dns, keyvault, network, storage

from .clouds import CLOUDS
from .dns.alias import mark, own_zone, relative_name
from .dns.lookups import Resolver, nameservers
from .dns.name_checks import (
    Holder,
    Taken,
    look_up_each,
    refusals,
)
from .network import SUBNET
from .providers import for_subscription
from .proxy import Proxy, proxy_from
from .settings import DistributionPointSettings, DnsMode
from .values import arm_names


def check_surroundings(
    entries: Sequence[DistributionPointSettings], deployed: Mapping[str, str]
) -> None:
    """Refuses names that are somebody else's, and vaults that stay shut, all of them at once.

    A look-up that fails only warns.

    Args:
        entries: the distribution points of the stack.
        deployed: service FQDNs of those that are deployed, by service name.

    Raises:
        pulumi.RunError: one sentence for each name that is in use already, and each such vault.
    """
    found = look_up_each(
        [(entry.names, CLOUDS[entry.cloud], resolver_of(entry)) for entry in entries]
    )
    problems: list[str] = []
    warnings: list[str] = []
    for entry, each in zip(entries, found, strict=True):
        of_entry, hints = refusals(each, _is_ours(entry, deployed))
        if entry.certificate.key_vault_id:
            shut, shut_for_now = _shut(entry, entry.certificate.key_vault_id)
            of_entry += shut
            hints += shut_for_now
        whose = f"{entry.names.service}: " if len(entries) > 1 else ""
        problems += [whose + problem for problem in of_entry]
        warnings += [whose + hint for hint in hints]
    for warning in dict.fromkeys(warnings):
        pulumi.log.warn(warning)
    if problems:
        raise pulumi.RunError("\n".join(problems))


def _shut(entry: DistributionPointSettings, vault_id: str) -> tuple[list[str], list[str]]:
    """What keeps the service out of another vault for good, and what may keep it out for now.

    Source: MicrosoftDocs/azure-docs ``articles/key-vault/general/rbac-guide.md`` (a vault obeys
    access policies or roles) and ``network-security.md`` (its firewall).

    Returns:
        Problems and warnings, one sentence each.
    """
    problems: list[str] = []
    warnings: list[str] = []
    subscription, group, name = arm_names(vault_id)
    try:
        vault = keyvault.get_vault(
            vault_name=name, resource_group_name=group, opts=_signed_in_to(subscription, entry)
        ).properties
    except Exception as refused:  # the SDK raises no narrower kind
        reason = " ".join(str(refused).split())
        warnings.append(
            f"certificate.keyVaultId: the vault {name} could not be looked at ({reason})."
        )
        return problems, warnings
    subnet = f"virtualNetworks/{entry.names.of('network')}/subnets/{SUBNET}"
    if not vault.enable_rbac_authorization:
        problems.append(
            f"certificate.keyVaultId names the vault {name}, which goes by access policies: the "
            "role with which the service reads the certificate has no effect there. Turn it to "
            f"Azure RBAC (`az keyvault update --name {name} --enable-rbac-authorization true`, "
            "once all who use it have roles), or name another vault."
        )
    elif vault.public_network_access == "Disabled":
        warnings.append(
            f"certificate.keyVaultId: the vault {name} takes no public network access, so that the "
            "service reads the certificate only through a private end point in its own subnet."
        )
    elif not _admits(
        vault.network_acls,
        f"/resourceGroups/{entry.names.resource_group}/providers/Microsoft.Network/{subnet}",
    ):
        warnings.append(
            f"certificate.keyVaultId: the firewall of the vault {name} does not admit {subnet} "
            "yet, from which the service reads the certificate: docs/certificates.md has the "
            "command."
        )
    return problems, warnings


def _admits(rules: keyvault.outputs.NetworkRuleSetResponse | None, subnet: str) -> bool:
    """Whether a vault's firewall lets a subnet in, which may be in any subscription."""
    return (
        rules is None
        or rules.default_action != keyvault.NetworkRuleAction.DENY
        or any(
            rule.id.lower().endswith(subnet.lower()) for rule in rules.virtual_network_rules or ()
        )
    )


def proxy_of(entry: DistributionPointSettings) -> Proxy:
    """How checks get out to the service."""
    return proxy_from(entry.proxy.get_secret_value() if entry.proxy else None)


def resolver_of(entry: DistributionPointSettings) -> Resolver:
    """Whom checks ask for names."""
    return Resolver(nameservers(entry.nameservers), proxy=proxy_of(entry))


def _is_ours(
    entry: DistributionPointSettings, deployed: Mapping[str, str]
) -> Callable[[Taken], bool]:
    """Tells whether a name that resolves is this entry's own."""

    def is_ours(taken: Taken) -> bool:
        if _shown(_is_held, entry, taken):
            return True
        if taken.holder is not Holder.SERVICE:
            return False
        if entry.dns.mode is DnsMode.MANUAL:
            # Nothing is overwritten: the operator is shown what to change, and `up` waits for it.
            return taken.name in deployed.values()
        # Somebody may have turned the stack's own alias elsewhere, which `up` puts right.
        return bool(taken.alias_of) and _shown(_is_kept, entry, taken)

    return is_ours


def _shown(
    ask: Callable[[DistributionPointSettings, Taken], bool],
    entry: DistributionPointSettings,
    taken: Taken,
) -> bool:
    """The answer of Azure or of a DNS server. What neither shows is not ours."""
    try:
        return ask(entry, taken)
    except Exception as refused:  # the SDK raises no narrower kind
        pulumi.log.debug(f"{taken.name} is not known to be ours: {refused}")
        return False


def _is_held(entry: DistributionPointSettings, taken: Taken) -> bool:
    """Tells whether a name is that of a resource in this entry's group."""
    names = entry.names
    group = names.resource_group
    options = _signed_in(entry.subscription_id)
    match taken.holder:
        case Holder.STORAGE:
            storage.get_storage_account(
                account_name=names.storage_account, resource_group_name=group, opts=options
            )
        case Holder.VAULT:
            keyvault.get_vault(vault_name=names.key_vault, resource_group_name=group, opts=options)
        case Holder.ADDRESS | Holder.SERVICE:
            address = _address(entry)
            site = address.dns_settings.fqdn if address.dns_settings else None
            if taken.holder is Holder.SERVICE:
                return bool({site, address.ip_address} & set(taken.leads_to))
            return site == names.site_fqdn
    return True


def _is_kept(entry: DistributionPointSettings, taken: Taken) -> bool:
    """Tells whether an alias is a record that the stack keeps, wherever it leads by now."""
    settings = entry.dns
    match settings.mode:
        case DnsMode.AZURE:
            record = dns.get_record_set(
                record_type="CNAME",
                relative_record_set_name=relative_name(taken.name, settings.zone),
                zone_name=settings.zone,
                resource_group_name=settings.resource_group,
                opts=_signed_in(settings.subscription_id or entry.subscription_id),
            )
            return mark().items() <= (record.metadata or {}).items()
        case DnsMode.RFC2136:
            _address(entry)  # before there is one, there is no record either
            # Later, the engine knows who made the record: where it was not the stack, it has the
            # plug-in make it, which refuses, and in a preview too.
            there = own_zone(settings).read(taken.name)
            return there is not None and there.target == taken.alias_of
        case DnsMode.MANUAL:
            return False


def _address(entry: DistributionPointSettings) -> network.GetPublicIPAddressResult:
    """The public IP address of the distribution point, if it was made already."""
    return network.get_public_ip_address(
        public_ip_address_name=entry.names.of("address"),
        resource_group_name=entry.names.resource_group,
        opts=_signed_in(entry.subscription_id),
    )


def _signed_in_to(subscription_id: str, entry: DistributionPointSettings) -> pulumi.InvokeOptions:
    """For a subscription that is likely to be the entry's own, which has its provider already."""
    own = _signed_in(entry.subscription_id)
    known = entry.subscription_id or authorization.get_client_config(opts=own).subscription_id
    return own if subscription_id.lower() == known.lower() else _signed_in(subscription_id)


def _signed_in(subscription_id: str | None) -> pulumi.InvokeOptions:
    return pulumi.InvokeOptions(provider=for_subscription(subscription_id))
