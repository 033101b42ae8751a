"""The accounting of one instance without its nginx, for the tests to drive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instance.agent.accounting import Accounting
from instance.agent.identity import Identity
from instance.agent.places import Endpoints, Instance, Places
from instance.agent.service import UsageSettings
from instance.agent.web import Web
from sandbox.dataplane.metadata import MetadataService
from tests.instance.azure_monitor import (
    ACCOUNT,
    BALANCER,
    CLOUD,
    INGESTION,
    MANAGER,
    AzureMonitor,
)
from tests.instance.world import CLIENT_ID

SETTINGS: dict[str, Any] = {
    "storage": {"accountId": ACCOUNT},
    "quotas": {
        "storageBytes": 2000 * 10**9,
        "transferBytes": 10 * 10**9,
        "periodDays": 30,
        "warningPercent": 50,
        "criticalPercent": 90,
        "stopAtCritical": True,
    },
    "metrics": {"loadBalancerId": BALANCER, "port": 443},
    "logs": {"endpoint": f"https://{INGESTION}", "ruleId": "dcr-1", "stream": "Custom-t_CL"},
}


def usage(**quotas: Any) -> UsageSettings:
    return UsageSettings.parse(json.dumps(SETTINGS | {"quotas": SETTINGS["quotas"] | quotas}))


class Agent:
    """The accounting of one instance, which may restart; there is no nginx."""

    def __init__(self, folder: Path, azure: AzureMonitor, metadata: MetadataService) -> None:
        self.azure = azure
        self.metadata = metadata
        self.places = Places(folder, "nobody")
        self.ca = folder / "ca.pem"
        for each in (self.places.run, self.places.logs, self.places.state):
            each.mkdir(parents=True)
        self.days = 30
        self.clock_ahead = 0.0
        self.restart()

    def restart(self) -> None:
        connect = {"169.254.169.254": self.metadata.address}
        endpoints = Endpoints(
            connect=connect | dict.fromkeys((MANAGER, INGESTION), self.azure.address),
            ca_bundle=self.ca,
            listen="127.0.0.9",
        )
        web = Web(endpoints)
        instance = Instance(
            vault_uri="",
            settings_secret="",
            client_id=CLIENT_ID,
            service_port=443,
            vault_audience="",
            storage_audience="",
            monitor_audience=CLOUD.monitor_audience,
            resource_manager=CLOUD.resource_manager,
        )
        self.accounting = Accounting(
            web,
            Identity(web, CLIENT_ID),
            places=self.places,
            instance=instance,
            endpoints=endpoints,
        )

    @property
    def sent(self) -> int | None:
        return self.accounting._figures.sent

    def count(self) -> int | None:
        """Make a pass, and say how many bytes were sent."""
        self.accounting.read_transfer(usage(periodDays=self.days))
        return self.sent
