"""Checks before anything is made: are the names that others may hold free, or ours already?

A name of Azure's that resolves is taken, and a service FQDN that leads elsewhere belongs to another
device. Only where a name resolves is Azure asked whether it is this distribution point's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pulumi
from pulumi_azure_native import keyvault, network, storage

from .clouds import CLOUDS
from .dns import Resolver, nameservers
from .name_checks import Holder, Taken, look_up_each, refusals
from .providers import for_subscription
from .proxy import Proxy, proxy_from
from .settings import DistributionPointSettings


def check_names(entries: Sequence[DistributionPointSettings]) -> None:
    """Refuses names that are somebody else's, all of them at once; a failed look-up only warns.

    Args:
        entries: the distribution points of the stack.

    Raises:
        pulumi.RunError: one sentence for each name that is in use already.
    """
    found = look_up_each(
        [(entry.names, CLOUDS[entry.cloud], resolver_of(entry)) for entry in entries]
    )
    problems: list[str] = []
    warnings: list[str] = []
    for entry, each in zip(entries, found, strict=True):
        of_entry, hints = refusals(each, _is_ours(entry))
        whose = f"{entry.names.service}: " if len(entries) > 1 else ""
        problems += [whose + problem for problem in of_entry]
        warnings += [whose + hint for hint in hints]
    for warning in dict.fromkeys(warnings):
        pulumi.log.warn(warning)
    if problems:
        raise pulumi.RunError("\n".join(problems))


def proxy_of(entry: DistributionPointSettings) -> Proxy:
    """How checks get out to the service."""
    return proxy_from(entry.proxy.get_secret_value() if entry.proxy else None)


def resolver_of(entry: DistributionPointSettings) -> Resolver:
    """Whom checks ask for names."""
    return Resolver(nameservers(entry.nameservers), proxy=proxy_of(entry))


def _is_ours(entry: DistributionPointSettings) -> Callable[[Taken], bool]:
    """Tells whether a name that resolves is that of a resource in this entry's group."""
    names = entry.names
    group = names.resource_group

    def is_ours(taken: Taken) -> bool:
        options = pulumi.InvokeOptions(provider=for_subscription(entry.subscription_id))
        try:
            match taken.holder:
                case Holder.STORAGE:
                    storage.get_storage_account(
                        account_name=names.storage_account, resource_group_name=group, opts=options
                    )
                case Holder.VAULT:
                    keyvault.get_vault(
                        vault_name=names.key_vault, resource_group_name=group, opts=options
                    )
                case Holder.ADDRESS | Holder.SERVICE:
                    address = network.get_public_ip_address(
                        public_ip_address_name=names.of("address"),
                        resource_group_name=group,
                        opts=options,
                    )
                    site = address.dns_settings.fqdn if address.dns_settings else None
                    if taken.holder is Holder.SERVICE:
                        return bool({site, address.ip_address} & set(taken.leads_to))
                    return site == names.site_fqdn
        except Exception as refused:
            # The SDK raises no narrower kind. What Azure does not show is not ours.
            pulumi.log.debug(f"{taken.name} is not known to be ours: {refused}")
            return False
        return True

    return is_ours
