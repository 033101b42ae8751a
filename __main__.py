"""The program: settings -> one CloudDistributionPoint per entry -> exports."""

from __future__ import annotations

import gc

# The SDK's modules are a million objects that live as long as the program: looking through them
# for garbage again and again while they load costs a fifth of the time that the imports take.
gc.disable()

import pulumi  # noqa: E402

from components.settings import SettingsError, from_engine  # noqa: E402

try:
    entries = from_engine()
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

# Only now: a stack that is refused need not wait for the SDK's modules to load.
from components.cloud_distribution_point import CloudDistributionPoint  # noqa: E402

gc.freeze()
gc.enable()

points = {}
for entry in entries:
    for warning in entry.warnings:
        pulumi.log.warn(warning)
    points[entry.names.service] = CloudDistributionPoint(entry.names.service, entry)

if len(points) == 1:
    for shown, value in next(iter(points.values())).outputs().items():
        pulumi.export(shown, value)
else:
    pulumi.export("distributionPoints", {name: p.outputs() for name, p in points.items()})
