"""Signing in to a subscription other than the one that the stack's provider is set to."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pulumi
import pulumi_azure_native

_made: WeakKeyDictionary[pulumi.Resource, dict[str, pulumi_azure_native.Provider]] = (
    WeakKeyDictionary()
)
"""The providers of each program. One serves all distribution points that need its subscription,
since the engine runs a process for each."""


def for_subscription(subscription_id: str | None) -> pulumi.ProviderResource | None:
    """The provider for a subscription that the settings name; None where they name none.

    It is signed in as the stack's own provider is. An explicit provider takes nothing from the
    stack's ``azure-native:`` settings by itself, so each of them is handed on. What is unset stays
    unset, and the provider then looks at the ``ARM_*`` variables as the stack's own does.

    Args:
        subscription_id: GUID of the subscription, if any.
    """
    if not subscription_id:
        return None
    program = pulumi.runtime.settings.get_root_resource()
    if program is None:
        raise pulumi.RunError("A provider can be made in a running Pulumi program only.")
    made = _made.setdefault(program, {})
    if subscription_id not in made:
        made[subscription_id] = _provider(subscription_id)
    return made[subscription_id]


def _provider(subscription_id: str) -> pulumi_azure_native.Provider:
    config = pulumi.Config("azure-native")
    return pulumi_azure_native.Provider(
        f"azure-{subscription_id}",
        subscription_id=subscription_id,
        auxiliary_tenant_ids=config.get_object("auxiliaryTenantIds"),
        client_certificate_password=config.get_secret("clientCertificatePassword"),
        client_certificate_path=config.get("clientCertificatePath"),
        client_id=config.get_secret("clientId"),
        client_secret=config.get_secret("clientSecret"),
        disable_instance_discovery=config.get_bool("disableInstanceDiscovery"),
        disable_pulumi_partner_id=config.get_bool("disablePulumiPartnerId"),
        environment=config.get("environment"),
        location=config.get("location"),
        metadata_host=config.get("metadataHost"),
        msi_endpoint=config.get("msiEndpoint"),
        oidc_request_token=config.get_secret("oidcRequestToken"),
        oidc_request_url=config.get("oidcRequestUrl"),
        oidc_token=config.get_secret("oidcToken"),
        oidc_token_file_path=config.get("oidcTokenFilePath"),
        partner_id=config.get("partnerId"),
        tenant_id=config.get("tenantId"),
        use_default_azure_credential=config.get_bool("useDefaultAzureCredential"),
        use_msi=config.get_bool("useMsi"),
        use_oidc=config.get_bool("useOidc"),
    )
