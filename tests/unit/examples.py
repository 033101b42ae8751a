"""What the tests of the parts have in common: one distribution point's names."""

from __future__ import annotations

from components.clouds import CLOUDS
from components.naming import Names

NAMES = Names.compute(
    service="clouddp1", fqdn="clouddp1.contoso.com", region="westeurope", cloud=CLOUDS["public"]
)
