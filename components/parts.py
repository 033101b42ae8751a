"""What all parts of a distribution point have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import pulumi

from .naming import Names


class PartArgs(TypedDict):
    """What every part needs to know."""

    names: Names
    """Physical names of the distribution point."""
    resource_group_name: pulumi.Input[str]
    """Resource group that receives the part's resources."""
    location: str
    """Azure region, in its short form (``westeurope``)."""
    tags: Mapping[str, str]
    """Tags of every resource that takes tags."""
