"""The same resources written plainly: one after another, at the top, without a component.

`resources.json` beside this file says what, as `bench.plain` wrote it. It stands for what a person
would have typed in, and reading it takes less time than running that would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi_azure_native import (
    applicationinsights,
    authorization,
    compute,
    dns,
    keyvault,
    managedidentity,
    monitor,
    network,
    operationalinsights,
    resources,
    storage,
)

MODULES = {
    "applicationinsights": applicationinsights,
    "authorization": authorization,
    "compute": compute,
    "dns": dns,
    "keyvault": keyvault,
    "managedidentity": managedidentity,
    "monitor": monitor,
    "network": network,
    "operationalinsights": operationalinsights,
    "resources": resources,
    "storage": storage,
}

made: dict[str, pulumi.CustomResource] = {}


def value(written: Any) -> Any:
    """What `bench.plain` wrote, as an input."""
    match written:
        case {"$secret": inner}:
            return pulumi.Output.secret(value(inner))
        case {"$after": names, "value": inner}:
            return pulumi.Output.all(*(made[name].id for name in names)).apply(lambda _: inner)
        case dict():
            return {name: value(inner) for name, inner in written.items()}
        case list():
            return [value(inner) for inner in written]
    return written


for each in json.loads(Path(__file__).with_name("resources.json").read_text()):
    kind = getattr(MODULES[each["module"]], each["kind"])
    made[each["name"]] = kind(
        each["name"],
        **{name: value(written) for name, written in each["inputs"].items()},
        opts=pulumi.ResourceOptions(depends_on=[made[name] for name in each["depends_on"]]),
    )
