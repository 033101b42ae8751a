"""What the tests of Azure Monitor's stand-in watch: one balancer, one account, one table."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from sandbox.dataplane.desired import Desired, Grant
from tests.instance.world import PRINCIPAL

GROUP = "/subscriptions/00000000-0000-4000-8000-00000000c10d/resourceGroups/clouddp1"
BALANCER = f"{GROUP}/providers/Microsoft.Network/loadBalancers/clouddp1-balancer"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/clouddp1abc"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/clouddp1abc"
TABLE = f"{WORKSPACE}/tables/clouddp1abc_CL".lower()
DESIRED = partial(
    Desired,
    accounts={},
    containers=frozenset(),
    vaults={},
    secrets={},
    grants=frozenset(),
    sets={},
    rules=(),
    zones={},
    intakes={},
    tables=frozenset({TABLE}),
    alert_rules=(),
    known_rules=frozenset(),
    receivers={},
)


def granted(roles: Collection[str], scope: str) -> list[Grant]:
    """The roles on a scope, for the principal of the tests."""
    return [Grant(scope=scope.lower(), role=role, principal=PRINCIPAL) for role in roles]
