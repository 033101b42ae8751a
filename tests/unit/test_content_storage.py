"""ContentStorage: closed to all but the service and the publishers, and never lost by accident."""

from __future__ import annotations

from typing import Any, cast

from components.clouds import CLOUDS
from components.content_storage import ContentStorage, ContentStorageArgs
from components.roles import Role
from components.settings import ContentPublisher, PublisherType

from .examples import NAMES
from .mocks import PRINCIPAL, SUBSCRIPTION, Recorder, run

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
PUBLISHERS = SUBNET + "-of-publishers"
GROUP_OF_PUBLISHERS = "11111111-1111-4111-8111-111111111111"
PUBLISHER = ContentPublisher.model_validate(
    {"objectId": GROUP_OF_PUBLISHERS, "type": PublisherType.GROUP}
)


def storage(**changed: Any) -> Recorder:
    args: ContentStorageArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {"team": "endpoints"},
        "cloud": CLOUDS["public"],
        "subscription_id": SUBSCRIPTION,
        "subnet_id": SUBNET,
        "reader_principal_id": PRINCIPAL,
        "publishers": [PUBLISHER],
        "publisher_addresses": ["203.0.113.0/24"],
        "publisher_subnets": [PUBLISHERS],
        "protect": True,
    }
    args.update(cast("ContentStorageArgs", changed))
    return run(lambda: ContentStorage("dp-content", args))


def test_the_account_admits_no_key_no_public_blob_and_no_old_tls() -> None:
    account = storage().one("azure-native:storage:StorageAccount").inputs
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["allowCrossTenantReplication"] is False
    assert account["enableHttpsTrafficOnly"] is True
    assert account["isLocalUserEnabled"] is False
    assert account["isSftpEnabled"] is False
    assert account["minimumTlsVersion"] == "TLS1_2"
    assert account["kind"] == "StorageV2"
    assert account["sku"] == {"name": "Standard_LRS"}


def test_the_firewall_admits_the_services_subnet_and_where_publishers_come_from_only() -> None:
    account = storage().one("azure-native:storage:StorageAccount").inputs
    assert account["networkRuleSet"] == {
        "bypass": "None",
        "defaultAction": "Deny",
        "virtualNetworkRules": [
            {"virtualNetworkResourceId": SUBNET, "action": "Allow"},
            {"virtualNetworkResourceId": PUBLISHERS, "action": "Allow"},
        ],
        "ipRules": [{"iPAddressOrRange": "203.0.113.0/24", "action": "Allow"}],
    }


def test_deleted_content_can_be_brought_back_for_a_week() -> None:
    blobs = storage().one("azure-native:storage:BlobServiceProperties").inputs
    assert blobs["blobServicesName"] == "default"
    assert blobs["deleteRetentionPolicy"] == {"enabled": True, "days": 7}
    assert blobs["containerDeleteRetentionPolicy"] == {"enabled": True, "days": 7}


def test_the_container_is_private() -> None:
    container = storage().one("azure-native:storage:BlobContainer").inputs
    assert container["containerName"] == "content"
    assert container["publicAccess"] == "None"


def test_account_and_container_are_protected_when_content_is() -> None:
    for protect in (True, False):
        recorder = storage(protect=protect)
        assert recorder.one("azure-native:storage:StorageAccount").protect is protect
        assert recorder.one("azure-native:storage:BlobContainer").protect is protect


def test_the_service_may_read_and_the_publishers_may_write_the_container_and_nothing_else() -> None:
    recorder = storage()
    reader = recorder.named("dp-content-reader").inputs
    publisher = recorder.named(f"dp-content-publisher-{GROUP_OF_PUBLISHERS}").inputs
    container = "/providers/Microsoft.Storage/blobContainers/content"
    assert reader["scope"].endswith(container)
    assert publisher["scope"].endswith(container)
    assert reader["roleDefinitionId"].endswith(Role.BLOB_DATA_READER.value)
    assert reader["principalType"] == "ServicePrincipal"
    assert reader["principalId"] == PRINCIPAL
    assert publisher["roleDefinitionId"].endswith(Role.BLOB_DATA_CONTRIBUTOR.value)
    assert publisher["principalType"] == "Group"
    assert publisher["principalId"] == GROUP_OF_PUBLISHERS
    assert reader["roleAssignmentName"] != publisher["roleAssignmentName"]


def test_content_is_uploaded_to_the_containers_own_url() -> None:
    outputs = storage().component_outputs["dp-content"]
    assert outputs["contentUrl"] == f"https://{NAMES.storage_account}.blob.core.windows.net/content"


def test_another_cloud_has_another_end_point() -> None:
    outputs = storage(cloud=CLOUDS["china"]).component_outputs["dp-content"]
    assert outputs["blobEndpoint"].endswith(".blob.core.chinacloudapi.cn/")
