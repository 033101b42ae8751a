"""ContentStorage: the storage account and the container that hold what clients download."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable, Sequence

import pulumi
from pulumi_azure_native import authorization, storage

from .clouds import Cloud
from .dns.lookups import LookupFailed
from .naming import Names
from .parts import PartArgs
from .roles import Role, assign
from .settings import ContentPublisher

DELETED_CONTENT_KEPT_DAYS = 7
SECONDS_FOR_AN_ANSWER = 60
NOT_FOUND = re.compile(r"NotFound|not found|does not exist|\b404\b", re.IGNORECASE)


class ContentStorageArgs(PartArgs):
    """What a ContentStorage is made of."""

    cloud: Cloud
    """The Azure cloud, for the account's end point."""
    subscription_id: pulumi.Input[str]
    """Subscription in which the roles are looked up."""
    subnet_id: pulumi.Input[str]
    """Subnet of the service, the only network that the firewall admits by itself."""
    reader_principal_id: pulumi.Input[str]
    """Object id of the identity with which the service reads content."""
    publishers: Sequence[ContentPublisher]
    """Principals that may add, change and delete content."""
    publisher_addresses: Sequence[str]
    """Public IPv4 addresses or CIDR ranges from which publishers come."""
    publisher_subnets: Sequence[str]
    """Ids of subnets from which publishers come."""
    protect: bool
    """Refuse to delete or replace account and container."""


class ContentStorage(pulumi.ComponentResource):
    """Storage account, closed to all but the service and the publishers, with the container.

    Account and container are managed through Azure Resource Manager only, which the account's
    firewall does not concern, so the program itself needs no way through it.
    """

    account_id: pulumi.Output[str]
    """Id of the storage account."""
    account_name: pulumi.Output[str]
    """Name of the storage account."""
    container_id: pulumi.Output[str]
    """Id of the container."""
    blob_endpoint: pulumi.Output[str]
    """URL of the account's blob service, with a slash at its end."""
    content_url: pulumi.Output[str]
    """URL of the container, to which publishers upload."""

    def __init__(
        self, name: str, args: ContentStorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:ContentStorage", name, None, opts)
        names = args["names"]
        account = storage.StorageAccount(
            f"{name}-account",
            account_name=names.storage_account,
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            # Keys would be a second way in that no role governs and no log names.
            allow_shared_key_access=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            is_local_user_enabled=False,
            is_sftp_enabled=False,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            # Service end points reach the public end point from inside: it is the firewall that
            # closes it to others.
            public_network_access=storage.PublicNetworkAccess.ENABLED,
            network_rule_set=storage.NetworkRuleSetArgs(
                bypass=storage.Bypass.NONE,
                default_action=storage.DefaultAction.DENY,
                virtual_network_rules=[
                    storage.VirtualNetworkRuleArgs(
                        virtual_network_resource_id=subnet, action=storage.Action.ALLOW
                    )
                    for subnet in (args["subnet_id"], *args["publisher_subnets"])
                ],
                ip_rules=[
                    storage.IPRuleArgs(i_p_address_or_range=address, action=storage.Action.ALLOW)
                    for address in args["publisher_addresses"]
                ],
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # It holds content that only the publishers could bring back.
                protect=args["protect"],
            ),
        )
        storage.BlobServiceProperties(
            f"{name}-blobs",
            account_name=account.name,
            blob_services_name="default",
            resource_group_name=args["resource_group_name"],
            delete_retention_policy=_kept_after_deletion(),
            container_delete_retention_policy=_kept_after_deletion(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        container = storage.BlobContainer(
            f"{name}-container",
            account_name=account.name,
            container_name=names.container,
            resource_group_name=args["resource_group_name"],
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(
                parent=self,
                # As the account: a container deleted is its content deleted.
                protect=args["protect"],
            ),
        )
        assign(
            f"{name}-reader",
            names=names,
            scope=container.id,
            role=Role.BLOB_DATA_READER,
            on="content",
            to="service",
            principal_id=args["reader_principal_id"],
            principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
            subscription_id=args["subscription_id"],
            parent=self,
        )
        for publisher in args["publishers"]:
            assign(
                f"{name}-publisher-{publisher.object_id}",
                names=names,
                scope=container.id,
                role=Role.BLOB_DATA_CONTRIBUTOR,
                on="content",
                to=publisher.object_id,
                principal_id=publisher.object_id,
                principal_type=publisher.type,
                subscription_id=args["subscription_id"],
                parent=self,
            )

        self.account_id = account.id
        self.account_name = account.name
        self.container_id = container.id
        self.blob_endpoint = pulumi.Output.from_input(
            f"https://{names.storage_account}.blob.{args['cloud'].storage_suffix}/"
        )
        self.content_url = pulumi.Output.concat(self.blob_endpoint, names.container)
        self.register_outputs(
            {
                "accountId": self.account_id,
                "accountName": self.account_name,
                "containerId": self.container_id,
                "blobEndpoint": self.blob_endpoint,
                "contentUrl": self.content_url,
            }
        )


def container_exists(
    names: Names, group: str, provider: pulumi.ProviderResource | None
) -> Callable[[], bool]:
    """Returns what asks Azure whether the container exists, for a thread that waits for it.

    To be called in the program's own thread, whose engine it asks through.

    Args:
        names: names of the distribution point.
        group: name of the resource group.
        provider: the provider of its subscription; None for the stack's own.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    async def ask() -> str:
        found = storage.get_blob_container_output(
            account_name=names.storage_account,
            container_name=names.container,
            resource_group_name=group,
            opts=pulumi.InvokeOutputOptions(provider=provider),
        )
        refusal = found.apply(_no_refusal).recover(_in_words)
        return str(await refusal.future())

    def exists() -> bool:
        asked = context.copy().run(asyncio.run_coroutine_threadsafe, ask(), loop)
        try:
            refusal = str(asked.result(SECONDS_FOR_AN_ANSWER))
        except TimeoutError:
            refusal = f"no answer in {SECONDS_FOR_AN_ANSWER} s"
        if refusal and not NOT_FOUND.search(refusal):
            raise LookupFailed(f"Azure cannot be asked for the container: {refusal}.")
        return not refusal

    return exists


def _no_refusal(_: object) -> str:
    return ""


def _in_words(refused: Exception) -> str:
    return str(refused) or type(refused).__name__


def _kept_after_deletion() -> storage.DeleteRetentionPolicyArgs:
    return storage.DeleteRetentionPolicyArgs(enabled=True, days=DELETED_CONTENT_KEPT_DAYS)
