"""CloudDistributionPoint: puts the parts together, and only that."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi_azure_native import authorization, resources

from .certificate import ServiceCertificate
from .certificate_binding import CertificateBinding
from .clouds import CLOUDS
from .content_storage import ContentStorage, container_exists
from .dns.alias import Alias
from .network import ServiceNetwork
from .parts import PartArgs
from .preflight import proxy_of, resolver_of
from .providers import for_subscription
from .quotas import QuotaAlerts
from .readiness import waiting as readiness
from .readiness.stages import Subject
from .service import DistributionService
from .service_settings import service_settings
from .settings import CertificateSettings, DistributionPointSettings

HTTPS_PORT = 443
SECONDS_PER_MINUTE = 60
LONGEST_TAG_VALUE = 256
ELSEWHERE = "The certificate is in another vault; the service settings say in which."
"""Stands in the certificate secret, which is always declared, for one in another vault."""

OUTPUTS = {
    "status": "status",
    "serviceFqdn": "service_fqdn",
    "serviceUrl": "service_url",
    "siteUrl": "site_url",
    "virtualIp": "virtual_ip",
    "cnameRecord": "cname_record",
    "serviceName": "service_name",
    "resourceGroup": "resource_group",
    "storageAccount": "storage_account",
    "contentUrl": "content_url",
    "keyVault": "key_vault",
    "certificateThumbprint": "certificate_thumbprint",
    "certificateExpires": "certificate_expires",
    "scaleSet": "scale_set",
    "dashboardUrl": "dashboard_url",
}
"""Names of the stack's outputs, and the attributes that hold their values."""


class CloudDistributionPoint(pulumi.ComponentResource):
    """A cloud distribution point: service, content, certificate, alias and quota alerts.

    Example::

        CloudDistributionPoint("clouddp1", settings.load(...)[0])
    """

    report: pulumi.Output[readiness.Report]
    """What the wait for Ready ended with."""
    status: pulumi.Output[str]
    """``Ready``, ``Stopped``, ``Stopped by the transfer quota``, ``Not checked``, or what it
    waits for."""
    service_fqdn: pulumi.Output[str]
    """The name that clients use."""
    service_url: pulumi.Output[str]
    """The URL under which content is served."""
    site_url: pulumi.Output[str]
    """The FQDN in the Azure domain to which the alias leads."""
    virtual_ip: pulumi.Output[str]
    """The public IP address of the service."""
    cname_record: pulumi.Output[str]
    """The alias as a line of a zone file, or empty where none is needed."""
    service_name: pulumi.Output[str]
    """The human name of the service."""
    resource_group: pulumi.Output[str]
    """Name of the resource group."""
    storage_account: pulumi.Output[str]
    """Name of the storage account."""
    content_url: pulumi.Output[str]
    """URL of the blob container, to which publishers upload."""
    key_vault: pulumi.Output[str]
    """Name of the vault."""
    certificate_thumbprint: pulumi.Output[str]
    """SHA-1 in upper-case hex, as Windows shows it; empty where another vault has it."""
    certificate_expires: pulumi.Output[str]
    """ISO 8601, UTC; empty where another vault holds the certificate."""
    scale_set: pulumi.Output[str]
    """Name of the scale set."""
    dashboard_url: pulumi.Output[str]
    """URL of the workbook in the Azure portal."""

    def __init__(
        self,
        name: str,
        args: DistributionPointSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "clouddp:index:CloudDistributionPoint",
            name,
            None,
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(transformations=[_without_version_aliases])
            ),
        )
        names = args.names
        cloud = CLOUDS[args.cloud]
        child = pulumi.ResourceOptions(parent=self, provider=for_subscription(args.subscription_id))
        subscription_id, tenant_id = _signed_in(args, child)
        group_name = _group_name(name, args, child)

        common: PartArgs = {
            "names": names,
            "resource_group_name": group_name,
            "location": names.region,
            "tags": args.tags,
        }
        network = ServiceNetwork(
            f"{name}-network",
            {**common, "service_port": args.service_port, "zones": args.zones},
            child,
        )
        service = DistributionService(
            f"{name}-service",
            {
                **common,
                "cloud": cloud,
                "subnet_id": network.subnet_id,
                "backend_pool_id": network.backend_pool_id,
                "attached_to": network.attachments,
                "service_port": args.service_port,
                "instances": args.instances,
                "vm_size": args.vm_size,
                "zones": args.zones,
                "automatic_os_upgrades": args.automatic_os_upgrades,
                "ssh_public_key": args.ssh_public_key,
            },
            child,
        )
        storage = ContentStorage(
            f"{name}-content",
            {
                **common,
                "cloud": cloud,
                "subscription_id": subscription_id,
                "subnet_id": network.subnet_id,
                "reader_principal_id": service.principal_id,
                "publishers": args.content_publishers,
                "publisher_addresses": args.publisher_addresses,
                "publisher_subnets": args.publisher_subnets,
                "protect": args.protect_content,
            },
            child,
        )
        quotas = QuotaAlerts(
            f"{name}-quotas",
            {
                **common,
                "cloud": cloud,
                "description": args.description,
                "subscription_id": subscription_id,
                "storage_account_id": storage.account_id,
                "load_balancer_id": network.load_balancer_id,
                "scale_set_id": service.scale_set_id,
                "principal_id": service.principal_id,
                "storage_quota_gb": args.storage_quota_gb,
                "transfer_quota_gb": args.transfer_quota_gb,
                "transfer_period_days": args.transfer_period_days,
                "warning_percent": args.warning_percent,
                "critical_percent": args.critical_percent,
                "stop_at_critical": args.stop_at_critical,
                "certificate_warning_days": args.certificate_warning_days,
                "alert_emails": args.alert_emails,
                "alert_webhooks": args.alert_webhooks,
                "monthly_budget": args.monthly_budget,
                "instances": args.instances,
                "service_port": args.service_port,
                "log_workspace_id": args.log_workspace_id,
            },
            child,
        )
        site_fqdn = _as_expected(network.site_fqdn, names.site_fqdn)
        certificate = args.service_certificate
        CertificateBinding(
            f"{name}-certificate",
            {
                **common,
                "tenant_id": tenant_id,
                "subscription_id": subscription_id,
                "subnet_id": network.subnet_id,
                "reader_principal_id": service.principal_id,
                "certificate": certificate.pem if certificate else ELSEWHERE,
                "certificate_tags": _certificate_tags(certificate, args.certificate),
                "certificate_vault_id": args.certificate.key_vault_id,
                "recover": args.recover_key_vault,
                "service_settings": service_settings(
                    args,
                    certificate_secret_id=args.certificate.key_vault_secret_id
                    or f"https://{names.key_vault}.{cloud.vault_suffix}"
                    f"/secrets/{names.certificate_secret}",
                    storage_account_id=storage.account_id,
                    blob_endpoint=storage.blob_endpoint,
                    load_balancer_id=network.load_balancer_id,
                    logs_endpoint=quotas.logs_endpoint,
                    rule_immutable_id=quotas.rule_immutable_id,
                    stream=quotas.stream,
                ),
            },
            child,
        )

        self.report = self._report(args, network, service, storage, site_fqdn)
        self.status = self.report.apply(lambda report: report.status)
        self.service_fqdn = pulumi.Output.from_input(names.fqdn)
        self.service_url = pulumi.Output.from_input(_service_url(names.fqdn, args.service_port))
        self.site_url = site_fqdn
        self.virtual_ip = network.virtual_ip
        self.cname_record = self._alias(name, args, site_fqdn, child)
        self.service_name = pulumi.Output.from_input(names.service)
        self.resource_group = pulumi.Output.from_input(group_name)
        self.storage_account = storage.account_name
        self.content_url = storage.content_url
        self.key_vault = pulumi.Output.from_input(names.key_vault)
        self.certificate_thumbprint = pulumi.Output.from_input(
            certificate.thumbprint if certificate else ""
        )
        self.certificate_expires = pulumi.Output.from_input(
            certificate.expires if certificate else ""
        )
        self.scale_set = service.scale_set_name
        self.dashboard_url = quotas.dashboard_url
        self.register_outputs(self.outputs())

    def _alias(
        self,
        name: str,
        args: DistributionPointSettings,
        target: pulumi.Output[str],
        child: pulumi.ResourceOptions,
    ) -> pulumi.Output[str]:
        if args.names.fqdn == args.names.site_fqdn:
            pulumi.log.info(f"{args.names.fqdn} lies in the Azure domain: it needs no alias.", self)
            return pulumi.Output.from_input("")
        alias = Alias(
            f"{name}-alias",
            {
                "fqdn": args.names.fqdn,
                "target": target,
                "dns": args.dns,
                "resolver": resolver_of(args),
                "zone_provider": for_subscription(args.dns.subscription_id),
            },
            child,
        )
        return alias.record

    def _report(
        self,
        args: DistributionPointSettings,
        network: ServiceNetwork,
        service: DistributionService,
        storage: ContentStorage,
        site_fqdn: pulumi.Output[str],
    ) -> pulumi.Output[readiness.Report]:
        """Waits until clients can be served, once the service is there."""
        names, certificate, access = args.names, args.service_certificate, args.access

        def subject(virtual_ip: str, site_fqdn: str) -> Subject:
            return Subject(
                service=names.service,
                fqdn=names.fqdn,
                site_fqdn=site_fqdn,
                virtual_ip=virtual_ip,
                port=args.service_port,
                thumbprint=certificate.thumbprint if certificate else "",
                chain_pem=certificate.chain_pem if certificate else "",
                test_environment=args.test_environment,
                instances=args.instances,
                container_exists=container_exists(
                    names, names.resource_group, for_subscription(args.subscription_id)
                ),
                token_key=access.token_key.get_secret_value() if access.token_key else "",
                anonymous=access.anonymous,
                sample=args.readiness_path or "",
                sample_may_be_missing=True,
            )

        there = pulumi.Output.all(
            network.virtual_ip, site_fqdn, storage.container_id, service.scale_set_id
        )
        return readiness.wait_for(
            there.apply(lambda values: subject(values[0], values[1])),
            instances=args.instances,
            rhythm=readiness.Rhythm(
                timeout=args.readiness_timeout_minutes * SECONDS_PER_MINUTE,
                interval=args.readiness_interval_seconds,
            ),
            resolver=resolver_of(args),
            proxy=proxy_of(args),
            status_log=Path(args.status_log_file) if args.status_log_file else None,
            resource=self,
        )

    def outputs(self) -> dict[str, pulumi.Output[str]]:
        """The outputs of this distribution point under the names that a stack shows."""
        return {shown: getattr(self, attribute) for shown, attribute in OUTPUTS.items()}


def _without_version_aliases(
    resource: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Drops the aliases that the SDK gives each resource, one for every API version.

    They serve programs that once used versioned type tokens, which these children never had.
    Keeping them makes a preview of many resources several times slower.
    """
    if not resource.type_.startswith("azure-native:"):
        return None
    resource.opts.aliases = None
    return pulumi.ResourceTransformationResult(resource.props, resource.opts)


def _signed_in(
    args: DistributionPointSettings, child: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Subscription and tenant that the provider is signed in to.

    Raises:
        pulumi.RunError: while outputs resolve, if that is not the subscription of the settings.
    """
    client = authorization.get_client_config_output(
        opts=pulumi.InvokeOutputOptions(parent=child.parent, provider=child.provider)
    )

    def checked(subscription_id: str) -> str:
        wanted = args.subscription_id
        if wanted and wanted.lower() != subscription_id.lower():
            raise pulumi.RunError(
                f"subscriptionId is {wanted}, but the sign-in to Azure reports {subscription_id}: "
                "sign in to the right one, or correct the setting."
            )
        return subscription_id

    return client.subscription_id.apply(checked), client.tenant_id


def _group_name(
    name: str, args: DistributionPointSettings, child: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Name of the resource group, which is made here or, where it exists already, only read."""
    if args.use_existing_resource_group:
        return resources.get_resource_group_output(
            resource_group_name=args.names.resource_group,
            opts=pulumi.InvokeOutputOptions(parent=child.parent, provider=child.provider),
        ).name
    group = resources.ResourceGroup(
        f"{name}-group",
        resource_group_name=args.names.resource_group,
        location=args.names.region,
        tags=args.tags,
        opts=pulumi.ResourceOptions.merge(
            child,
            # Deleting a group deletes all that is in it, content first of all.
            pulumi.ResourceOptions(protect=args.protect_content),
        ),
    )
    return group.name


def _as_expected(found: pulumi.Output[str], expected: str) -> pulumi.Output[str]:
    """What Azure reports or, in a preview that cannot know it yet, what the settings make it.

    So a reviewer sees the real name in Azure's domain before anything exists.
    """
    return found.apply(
        lambda value: value if isinstance(value, str) else expected, run_with_unknowns=True
    )


def _certificate_tags(
    certificate: ServiceCertificate | None, settings: CertificateSettings
) -> dict[str, str]:
    """What a reviewer may see of a certificate, so that a renewal can be read in a preview."""
    if certificate is None:
        return {"source": settings.key_vault_secret_id or ""}
    return {
        "thumbprint": certificate.thumbprint,
        "subject": certificate.subject[:LONGEST_TAG_VALUE],
        "expires": certificate.expires,
    }


def _service_url(fqdn: str, port: int) -> str:
    return f"https://{fqdn}/" if port == HTTPS_PORT else f"https://{fqdn}:{port}/"
