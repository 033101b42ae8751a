"""The service settings: the one JSON text that tells the instances what may change.

The instances' agent reads it from the vault. What is here never touches a machine when it
changes; what never changes is in the install script instead.
"""

from __future__ import annotations

from typing import Any

import pulumi

from .naming import Names
from .settings import DistributionPointSettings

VERSION = 1
BYTES_PER_GB = 10**9


def service_settings(
    settings: DistributionPointSettings,
    *,
    certificate_secret_id: str,
    storage_account_id: pulumi.Input[str],
    blob_endpoint: pulumi.Input[str],
    load_balancer_id: pulumi.Input[str],
    logs_endpoint: pulumi.Input[str],
    rule_immutable_id: pulumi.Input[str],
    stream: str,
) -> pulumi.Output[str]:
    """The service settings of one distribution point as a secret JSON text.

    Keys are sorted and nothing in it depends on the moment, so the same settings never make a
    difference in a preview.

    Args:
        settings: the entry of the stack.
        certificate_secret_id: URL of the vault secret that holds the certificate, no version.
        storage_account_id: id of the storage account, for its metrics.
        blob_endpoint: URL of the account's blob service.
        load_balancer_id: id of the load balancer, for its metrics.
        logs_endpoint: URL to which rows are posted.
        rule_immutable_id: immutable id of the data collection rule.
        stream: name of the rule's stream.
    """
    names: Names = settings.names
    return pulumi.Output.secret(
        pulumi.Output.json_dumps(
            {
                "version": VERSION,
                "fqdn": names.fqdn,
                "servicePort": settings.service_port,
                "storage": {
                    "url": blob_endpoint,
                    "container": names.container,
                    "accountId": storage_account_id,
                },
                "certificate": {
                    "secretId": certificate_secret_id,
                    "format": "pem" if settings.service_certificate else "pkcs12",
                },
                "access": _access(settings),
                "quotas": {
                    "storageBytes": settings.storage_quota_gb * BYTES_PER_GB,
                    "transferBytes": settings.transfer_quota_gb * BYTES_PER_GB,
                    "periodDays": settings.transfer_period_days,
                    "warningPercent": settings.warning_percent,
                    "criticalPercent": settings.critical_percent,
                    "stopAtCritical": settings.stop_at_critical,
                },
                "metrics": {"loadBalancerId": load_balancer_id, "port": settings.service_port},
                "logs": {
                    "endpoint": logs_endpoint,
                    "ruleId": rule_immutable_id,
                    "stream": stream,
                },
            },
            sort_keys=True,
            separators=(",", ":"),
        )
    )


def _access(settings: DistributionPointSettings) -> dict[str, Any]:
    keys = (settings.access.token_key, settings.access.previous_token_key)
    return {
        "anonymous": settings.access.anonymous,
        "tokenKeys": [key.get_secret_value() for key in keys if key],
        "clientTrustRoots": settings.trust_roots_pem,
        "revocationLists": list(settings.access.revocation_lists),
    }
