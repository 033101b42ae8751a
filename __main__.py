"""The program: settings -> one CloudDistributionPoint per entry -> exports."""

from __future__ import annotations

import gc

import pulumi


def program() -> None:
    """Declares what the stack's settings ask for."""
    from components.settings import SettingsError, from_engine

    try:
        entries = from_engine()
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None

    # Only now: a stack that is refused need not wait for the SDK's modules to load. They are a
    # million objects that live as long as the program, and looking through them for garbage again
    # and again while they load would cost a fifth of the time that loading takes.
    gc.disable()
    from components.cloud_distribution_point import CloudDistributionPoint
    from components.costs import estimate_for
    from components.preflight import check_surroundings
    from components.readiness.waiting import insist
    from components.renaming import deployed_names, refuse_renaming
    from components.service import OS_DISK_GIB

    gc.freeze()
    gc.enable()

    for warning in dict.fromkeys(warning for entry in entries for warning in entry.warnings):
        pulumi.log.warn(warning)
    deployed = deployed_names()
    refuse_renaming(entries, deployed)
    check_surroundings(entries, deployed)
    points = {}
    for entry in entries:
        point = CloudDistributionPoint(entry.names.service, entry)
        points[entry.names.service] = point
        if pulumi.runtime.is_dry_run():
            lines = estimate_for(entry, os_disk_gib=OS_DISK_GIB)
            pulumi.log.info("\n".join(lines), point)

    if len(points) == 1:
        for shown, value in next(iter(points.values())).outputs().items():
            pulumi.export(shown, value)
    else:
        pulumi.export("distributionPoints", {name: p.outputs() for name, p in points.items()})
    insist([point.report for point in points.values()])

    async def see_outputs() -> None:
        await pulumi.Output.all(*(point.outputs() for point in points.values())).future()

    if pulumi.runtime.is_dry_run():
        # The SDK's own wait goes through all values that are missing each time that one arrives:
        # for 40 distribution points, a third of a preview. After this one it finds few. An `up`
        # waits for Azure anyway, and has to hear at once of what fails.
        pulumi.run(see_outputs)


try:
    program()
except ModuleNotFoundError as missing:
    raise pulumi.RunError(
        f"The Python package {missing.name} is missing in the program's environment: run "
        "`pulumi install` in the folder of Pulumi.yaml."
    ) from None
