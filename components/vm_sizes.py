"""What the name of a virtual machine size says: its architecture, and Trusted Launch.

The name follows Azure's convention, ``Standard_<family><vCPUs><features>_<accelerator>_v<version>``
(Microsoft Learn, "Azure virtual machine sizes naming conventions").

Which sizes cannot do Trusted Launch: MicrosoftDocs/azure-compute-docs ``articles/virtual-machines/
trusted-launch.md`` (2025-04-21, read in November 2026); where that page has only a family, an
earlier one's list of series. A family that neither names is taken to be able to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_SIZE = "Standard_D2s_v5"
"""Instances carry every byte, so the default is the smallest size with 12.5 Gbit/s that most
regions have (``sizes/general-purpose/includes/dsv5-series-specs.md``); a B2s has a tenth of it."""

_PATTERN = re.compile(
    r"(?P<tier>standard|basic)_(?P<family>[a-z]+)(?P<number>\d+)(?P<constrained>-\d+)?"
    r"(?P<features>[a-z]*)(?P<extra>(?:_(?!v\d+(?:_|$))[a-z0-9]+)*)"
    r"(?P<version>_v\d+)?(?P<promo>_promo)?",
    re.IGNORECASE,
)
_VCPUS_OF_DV2 = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_VCPUS_ON_OFFER = (2, 4, 8, 16, 32, 48, 64, 96)


@dataclass(frozen=True, kw_only=True)
class VmSize:
    """A size, taken apart."""

    tier: str
    family: str
    """Upper case, such as ``D`` or ``NC``."""
    number: int
    constrained: str
    features: str
    """Lower case; ``p`` is ARM, ``s`` premium storage, ``d`` a local disk, ``a`` AMD."""
    extra: str
    version: int
    promo: bool

    def __str__(self) -> str:
        version = f"_v{self.version}" if self.version > 1 else ""
        promo = "_Promo" if self.promo else ""
        return (
            f"{self.tier}_{self.family}{self.number}{self.constrained}{self.features}"
            f"{self.extra}{version}{promo}"
        )


def parse_size(name: str) -> VmSize | None:
    """Takes a size's name apart, in any letter case as Azure does, or gives None."""
    found = _PATTERN.fullmatch(name.strip())
    if found is None:
        return None
    return VmSize(
        tier=found["tier"].capitalize(),
        family=found["family"].upper(),
        number=int(found["number"]),
        constrained=found["constrained"] or "",
        features=found["features"].lower(),
        extra=found["extra"].upper(),
        version=int(found["version"][2:]) if found["version"] else 1,
        promo=found["promo"] is not None,
    )


def architecture(vm_size: str) -> str:
    """``"arm64"`` when the size's feature letters have a ``p``, else ``"x64"``."""
    size = parse_size(vm_size)
    return "arm64" if size and "p" in size.features else "x64"


def trusted_launch_instead(vm_size: str) -> str | None:
    """The nearest size that can do Trusted Launch when this one cannot, or None when it can."""
    size = parse_size(vm_size)
    if size is None or _can_trusted_launch(size):
        return None
    if "p" in size.features:
        return f"Standard_{size.family}{size.number}{size.features}_v6"
    family = "E" if size.family in ("EC", "M") else "D"
    counted = size.family in ("D", "DS") and size.version < 3  # later numbers are vCPUs
    vcpus = _VCPUS_OF_DV2.get(size.number, 2) if counted else size.number
    offered = next((n for n in _VCPUS_ON_OFFER if n >= vcpus), _VCPUS_ON_OFFER[-1])
    if size.family == "D" and size.version == 3:
        return f"Standard_D{offered}s_v3"
    return f"Standard_{family}{offered}s_v5"


def _can_trusted_launch(size: VmSize) -> bool:
    if size.tier == "Basic" or size.family in ("A", "EC", "M", "NP"):
        return False
    if size.family in ("D", "E") and "p" in size.features:
        return size.version >= 6
    if size.family == "D":  # Dv2 and Dv3 are generation 1; their "s" twins are not
        return size.version >= 4 or (size.version == 3 and "s" in size.features)
    if size.family == "DS":
        return size.version >= 2
    if size.family == "DC":  # confidential: AMD and Intel TDX; the older SGX ones can
        return "a" not in size.features and "e" not in size.features
    if size.family in ("NC", "NV"):
        return size.version > 1 or size.extra != ""
    if size.family == "ND":
        return "A100" not in size.extra and not (size.version == 4 and "a" in size.features)
    return True
