"""CertificateBinding: a vault that only the service can read, and secrets that stay secret."""

from __future__ import annotations

from typing import Any, cast

import pytest

from components.certificate_binding import CertificateBinding, CertificateBindingArgs

from .examples import NAMES
from .mocks import PRINCIPAL, SUBSCRIPTION, TENANT, Recorder, run

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
OTHER_VAULT = "/subscriptions/s/resourceGroups/pki/providers/Microsoft.KeyVault/vaults/pki"
VAULT = "azure-native:keyvault:Vault"


def binding(**changed: Any) -> Recorder:
    args: CertificateBindingArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {},
        "tenant_id": TENANT,
        "subscription_id": SUBSCRIPTION,
        "subnet_id": SUBNET,
        "reader_principal_id": PRINCIPAL,
        "certificate": "the PEM text",
        "certificate_tags": {"thumbprint": "AB12"},
        "service_settings": '{"version":1}',
    }
    args.update(cast("CertificateBindingArgs", changed))
    return run(lambda: CertificateBinding("dp-certificate", args))


def test_the_vault_goes_by_roles_and_is_closed_to_all_but_the_subnet() -> None:
    properties = binding().one(VAULT).inputs["properties"]
    assert properties["enableRbacAuthorization"] is True
    assert "accessPolicies" not in properties
    assert properties["networkAcls"] == {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [],
        "virtualNetworkRules": [{"id": SUBNET}],
    }


def test_a_deleted_vault_blocks_its_name_for_no_longer_than_it_must() -> None:
    properties = binding().one(VAULT).inputs["properties"]
    assert properties["enableSoftDelete"] is True
    assert properties["softDeleteRetentionInDays"] == 7
    # Azure refuses False, and True would keep the name for the whole time.
    assert "enablePurgeProtection" not in properties


def test_a_soft_deleted_vault_is_taken_back_only_when_asked() -> None:
    assert "createMode" not in binding().one(VAULT).inputs["properties"]
    assert binding(recover=True).one(VAULT).inputs["properties"]["createMode"] == "recover"


def test_the_vault_is_replaced_where_azure_refuses_an_update_the_old_one_first() -> None:
    vault = binding().one(VAULT)
    assert vault.replace_on_changes == {
        "location",
        "properties.tenantId",
        "properties.softDeleteRetentionInDays",
    }
    assert vault.delete_before_replace


@pytest.mark.parametrize(
    ("name", "secret_name", "value"),
    [
        ("dp-certificate-certificate", "certificate", "the PEM text"),
        ("dp-certificate-settings", "settings", '{"version":1}'),
    ],
)
def test_both_secrets_are_secret_and_go_only_with_their_vault(
    name: str, secret_name: str, value: str
) -> None:
    recorder = binding()
    secret = recorder.named(name)
    assert secret.inputs["secretName"] == secret_name
    assert secret.inputs["properties"]["value"] == value
    assert "properties" in secret.secrets
    assert secret.retain_on_delete
    assert secret.deleted_with == recorder.one(VAULT).urn


def test_a_reviewer_sees_the_certificate_in_the_secrets_tags() -> None:
    secret = binding().named("dp-certificate-certificate")
    assert secret.inputs["tags"] == {"thumbprint": "AB12"}
    assert "tags" not in secret.secrets


def test_the_service_may_read_secrets_of_its_vault() -> None:
    role = binding().one("azure-native:authorization:RoleAssignment")
    assert role.inputs["scope"].endswith(f"/vaults/{NAMES.key_vault}")
    assert role.inputs["principalType"] == "ServicePrincipal"
    assert role.inputs["roleDefinitionId"].endswith("4633458b-17de-408a-b874-0445c86b69e6")


def test_the_service_may_also_read_the_vault_that_holds_the_certificate() -> None:
    recorder = binding(certificate_vault_id=OTHER_VAULT)
    other = recorder.named("dp-certificate-certificate-vault-reader").inputs
    own = recorder.named("dp-certificate-vault-reader").inputs
    assert other["scope"] == OTHER_VAULT
    assert other["roleAssignmentName"] != own["roleAssignmentName"]
