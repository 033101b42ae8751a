"""CertificateBinding: the vault from which the service takes its certificate and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NotRequired

import pulumi
from pulumi_azure_native import authorization, keyvault

from .parts import PartArgs
from .roles import Role, assign

SHORTEST_SOFT_DELETE_DAYS = 7
EXISTING = re.compile("cannot create already existing resource '([^']+)'")
"""What the provider says of a resource that is there and not in the state."""
DELETED_STATE = "already exists in deleted state"
"""What Key Vault answers where a deleted vault holds a name (HTTP 409, ConflictError).

Source: pulumi/pulumi-azure-native issue 1174."""


class CertificateBindingArgs(PartArgs):
    """What a CertificateBinding is made of."""

    tenant_id: pulumi.Input[str]
    """Entra tenant whose identities the vault knows."""
    subscription_id: pulumi.Input[str]
    """Subscription in which the role is looked up."""
    subnet_id: pulumi.Input[str]
    """Subnet of the service, the only network that the vault's firewall admits."""
    reader_principal_id: pulumi.Input[str]
    """Object id of the identity with which the service reads the secrets."""
    certificate: pulumi.Input[str]
    """PEM text (key, leaf, chain), or a placeholder where another vault holds it."""
    certificate_tags: Mapping[str, str]
    """What a reviewer may see of the certificate: thumbprint, subject, expiry."""
    service_settings: pulumi.Input[str]
    """The service settings, one JSON text."""
    certificate_vault_id: NotRequired[str | None]
    """Id of another vault that holds the certificate: the service may read its secrets."""
    recover: NotRequired[bool]
    """Take back a soft-deleted vault of the same name."""


class CertificateBinding(pulumi.ComponentResource):
    """Vault, closed to all but the service, with the secrets ``certificate`` and ``settings``.

    The certificate is bound by being in the vault: every instance fetches it, checks it and swaps
    it in. So a renewal changes one secret and no machine.
    """

    vault_id: pulumi.Output[str]
    """Id of the vault."""
    vault_name: pulumi.Output[str]
    """Name of the vault."""

    def __init__(
        self, name: str, args: CertificateBindingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:CertificateBinding", name, None, opts)
        names = args["names"]
        vault = keyvault.Vault(
            f"{name}-vault",
            vault_name=names.key_vault,
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=args["tenant_id"],
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                create_mode=keyvault.CreateMode.RECOVER if args.get("recover") else None,
                # The default of this depends on the API version: said either way.
                enable_rbac_authorization=True,
                enabled_for_deployment=False,
                enabled_for_disk_encryption=False,
                enabled_for_template_deployment=False,
                enable_soft_delete=True,
                soft_delete_retention_in_days=SHORTEST_SOFT_DELETE_DAYS,
                public_network_access="Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    bypass=keyvault.NetworkRuleBypassOptions.NONE,
                    default_action=keyvault.NetworkRuleAction.DENY,
                    ip_rules=[],
                    virtual_network_rules=[keyvault.VirtualNetworkRuleArgs(id=args["subnet_id"])],
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure refuses to update these, and the provider does not know it.
                replace_on_changes=[
                    "location",
                    "properties.tenantId",
                    "properties.softDeleteRetentionInDays",
                ],
                # The name is fixed, so the old vault must be gone before the new one comes.
                delete_before_replace=True,
                hooks=pulumi.ResourceHookBinding(
                    on_error=[pulumi.ErrorHook(f"{name}-name-taken", _explain_deleted_vault)]
                ),
            ),
        )
        self._secret(
            f"{name}-certificate",
            args,
            vault,
            names.certificate_secret,
            args["certificate"],
            "application/x-pem-file",
            args["certificate_tags"],
        )
        self._secret(
            f"{name}-settings",
            args,
            vault,
            names.settings_secret,
            args["service_settings"],
            "application/json",
            {},
        )
        vaults: dict[str, pulumi.Input[str]] = {"vault": vault.id}
        certificate_vault_id = args.get("certificate_vault_id")
        if certificate_vault_id:
            vaults["certificate-vault"] = certificate_vault_id
        for word, scope in vaults.items():
            assign(
                f"{name}-{word}-reader",
                names=names,
                scope=scope,
                role=Role.KEY_VAULT_SECRETS_USER,
                on=word,
                to="service",
                principal_id=args["reader_principal_id"],
                principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
                subscription_id=args["subscription_id"],
                parent=self,
            )

        self.vault_id = vault.id
        self.vault_name = vault.name
        self.register_outputs({"vaultId": self.vault_id, "vaultName": self.vault_name})

    def _secret(
        self,
        name: str,
        args: CertificateBindingArgs,
        vault: keyvault.Vault,
        secret_name: str,
        value: pulumi.Input[str],
        content_type: str,
        tags: Mapping[str, str],
    ) -> None:
        keyvault.Secret(
            name,
            vault_name=vault.name,
            secret_name=secret_name,
            resource_group_name=args["resource_group_name"],
            tags=tags,
            properties=keyvault.SecretPropertiesArgs(
                value=pulumi.Output.secret(value), content_type=content_type
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The provider deletes secrets on the data plane, which the vault's firewall
                # closes to the operator. They go with their vault.
                deleted_with=vault,
                retain_on_delete=True,
                hooks=pulumi.ResourceHookBinding(
                    on_error=[pulumi.ErrorHook(f"{name}-exists", _explain_existing_secret)]
                ),
            ),
        )


def _explain_deleted_vault(failed: pulumi.ErrorHookArgs) -> bool:
    """Says what to do where a deleted vault still holds the name; False: Azure will not relent."""
    if any(DELETED_STATE in error for error in failed.errors):
        name = (failed.new_inputs or {}).get("vaultName")
        location = (failed.new_inputs or {}).get("location")
        pulumi.log.error(
            f"A deleted vault still holds the name {name}, for up to "
            f"{SHORTEST_SOFT_DELETE_DAYS} days after its deletion: take it back with "
            "recoverKeyVault: true, free the name with `az keyvault purge "
            f"--name {name} --location {location}`, or choose another keyVaultName."
        )
    return False


def _explain_existing_secret(failed: pulumi.ErrorHookArgs) -> bool:
    """Says what to do with a secret that came back with its vault; False: it will still be there.

    The provider creates nothing that exists, and a vault that was taken back has its secrets.
    """
    found = next((each for error in failed.errors if (each := EXISTING.search(error))), None)
    if found:
        parent = re.sub(r"\$[^$]+::[^:]+$", "", failed.urn) + "::" + failed.name.rpartition("-")[0]
        pulumi.log.error(
            f"The vault was taken back with the secret of {failed.name} in it: take that into the "
            f"stack with `pulumi import {failed.type} {failed.name} {found[1]} "
            f"--parent 'parent={parent}' --protect=false --generate-code=false --yes`, "
            "then run pulumi up again."
        )
    return False
