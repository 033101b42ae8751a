"""Writes down what our program registers, for `plain_program` to register plainly.

It is taken from the engine and not typed in, so that the two cannot drift apart: from a preview,
what is unknown until something else exists; from the state after an `up`, all values.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import _types

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for an unknown text in what the engine says (pulumi/pulumi
``sdk/go/common/resource/plugin/rpc.go``)."""
SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks a secret in a state (the same, ``resource/sig/sig.go``)."""

_PACKAGE = "azure-native"
_BY_PROVIDER = ("azureApiVersion", "__createBeforeDelete")
"""Inputs that the provider adds by itself."""


def resources(preview: Mapping[str, Any], state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Azure resources of a program, each after those that it depends on.

    Args:
        preview: what `pulumi preview --json` said before anything was there.
        state: what `pulumi stack export --show-secrets` said after an `up`.
    """
    seen = {step["urn"]: step["newState"].get("inputs", {}) for step in preview["steps"]}
    return [
        _written(resource, seen[resource["urn"]])
        for resource in state["deployment"]["resources"]
        if resource["type"].startswith(f"{_PACKAGE}:")
    ]


def asked_for(preview: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The inputs of each Azure resource in a preview, by type and logical name."""
    states = [step["newState"] for step in preview["steps"]]
    return {
        (state["type"], _name(state["urn"])): state["inputs"]
        for state in states
        if state["type"].startswith(f"{_PACKAGE}:")
    }


def _written(resource: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    _, module, kind = resource["type"].split(":")
    keywords = _keywords(module, kind)
    depends = {
        name: [_name(urn) for urn in urns]
        for name, urns in resource.get("propertyDependencies", {}).items()
    }
    used = {name for names in depends.values() for name in names}
    return {
        "module": module,
        "kind": kind,
        "name": _name(resource["urn"]),
        "inputs": {
            keywords[name]: _value(value, seen[name], depends.get(name, []))
            for name, value in resource["inputs"].items()
            if name not in _BY_PROVIDER
        },
        "depends_on": [
            name for urn in resource.get("dependencies", []) if (name := _name(urn)) not in used
        ],
    }


def _value(value: Any, seen: Any, depends: Sequence[str]) -> Any:
    """A value of the state; what the preview did not know comes after what it depends on."""
    if isinstance(value, Mapping) and SIGNATURE in value:
        # A preview shows no secret, and so not whether it is known.
        plaintext = json.loads(value["plaintext"])
        return {"$secret": {"$after": depends, "value": plaintext} if depends else plaintext}
    if seen == UNKNOWN:
        return {"$after": depends, "value": value}
    if isinstance(value, Mapping):
        return {name: _value(inner, seen[name], depends) for name, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner, other, depends) for inner, other in zip(value, seen, strict=True)]
    return value


def _keywords(module: str, kind: str) -> dict[str, str]:
    """The arguments of a resource's class, by the names that the engine has for them."""
    cls = getattr(importlib.import_module(f"pulumi_azure_native.{module}"), kind)
    of_class = sys.modules[cls.__module__]
    names = _types.input_type_py_to_pulumi_names(getattr(of_class, of_class.__all__[0]))
    # The first argument of each class, the logical name, has taken this name.
    return {
        ours: "resource_name_" if keyword == "resource_name" else keyword
        for keyword, ours in names.items()
    }


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
