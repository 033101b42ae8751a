"""Refuses names that would change with another, unnoticed, and take the service with them.

Where the settings leave them out, the service FQDN comes from the certificate and the service name
from the FQDN. So a certificate for another name would make a new service and delete the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from .settings import DistributionPointSettings


def refuse_renaming(
    entries: Sequence[DistributionPointSettings], deployed: Mapping[str, str]
) -> None:
    """Compares the stack with what it last deployed.

    Args:
        entries: the distribution points of the stack.
        deployed: service FQDNs of those that are deployed, by service name.

    Raises:
        pulumi.RunError: one sentence for each that would be another one by default.
    """
    problems = renamed(entries, deployed)
    if problems:
        raise pulumi.RunError("\n".join(problems))


def renamed(entries: Sequence[DistributionPointSettings], deployed: Mapping[str, str]) -> list[str]:
    """One sentence for each entry that has a new name by default while an old name goes.

    Args:
        entries: the distribution points of the stack.
        deployed: service FQDNs of those that are deployed, by service name.
    """
    wanted = {entry.names.fqdn for entry in entries}
    gone = {service: fqdn for service, fqdn in deployed.items() if fqdn not in wanted}
    problems: list[str] = []
    for entry in entries:
        names = entry.names
        if not gone or names.fqdn in deployed.values():
            continue
        # With several, the one that keeps its service name is meant, else any may be.
        old = names.service if names.service in gone else next(iter(gone))
        whose = f"{names.service}: " if len(entries) > 1 else ""
        if entry.fqdn_from_certificate:
            problems.append(
                f'{whose}serviceFqdn is not given and would be "{names.fqdn}", as the certificate '
                f'says, but the stack serves "{gone[old]}": use a certificate for that name, or, '
                f'if the name is to change, set serviceFqdn to "{names.fqdn}" and serviceName to '
                f'"{old}", which keeps the service and its content.'
            )
        elif entry.service_name_from_fqdn and names.service not in deployed:
            problems.append(
                f'{whose}serviceName is not given and would be "{names.service}", but the service '
                f'of "{gone[old]}" is "{old}": set serviceName to "{old}", which keeps it and its '
                f'content, or to "{names.service}", which makes a new one and deletes the old.'
            )
    return problems


def deployed_names() -> dict[str, str]:
    """Service FQDNs in the stack's outputs, by service name; none where they cannot be read.

    An `up` that fails keeps the outputs of the last one that did not.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        found = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": stack}).value
    except Exception as refused:
        # The SDK raises no narrower kind. A stack that cannot be read keeps its protection.
        pulumi.log.debug(f"What is deployed is not known: {refused}")
        return {}
    outputs = (found or {}).get("outputs") or {}
    several = outputs.get("distributionPoints")
    points = several.values() if isinstance(several, dict) else [outputs]
    return {
        point["serviceName"]: point["serviceFqdn"] for point in points if "serviceFqdn" in point
    }
