"""What other people rely on: type tokens, parents, logical names, tags and secrets.

A stack's state is keyed by these. Whoever changes one of them makes every stack replace things.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .mocks import Recorder
from .test_program import PASSWORD, TOKEN_KEY, pfx, settings, up

__all__ = ["pfx"]

FROZEN = Path(__file__).parent / "contract.json"
TAKE_NO_TAGS = {
    "azure-native:authorization:RoleAssignment",
    "azure-native:consumption:Budget",
    "azure-native:dns:RecordSet",
    "azure-native:network:Subnet",
    "azure-native:operationalinsights:Table",
    "azure-native:storage:BlobContainer",
    "azure-native:storage:BlobServiceProperties",
}
TAGS_SAY_WHAT_THEY_HOLD = {"azure-native:keyvault:Secret"}


@pytest.fixture
def recorder(pfx: Path) -> Recorder:
    return up(
        settings(
            pfx,
            monthlyBudget=100,
            contentPublishers=[
                {"objectId": "11111111-1111-4111-8111-111111111111", "type": "Group"}
            ],
        )
    )


def test_tokens_parents_and_logical_names_are_what_they_were(recorder: Recorder) -> None:
    shape = {each.name: [each.type, each.parent.split("::", 2)[2]] for each in recorder.resources}
    if os.environ.get("RENEW_CONTRACT"):
        FROZEN.write_text(json.dumps(shape, indent=2, sort_keys=True) + "\n")
    assert shape == json.loads(FROZEN.read_text()), (
        "Stacks would replace or lose resources. Where that is meant, say so under Breaking in "
        "the changelog, give the old name as an alias, and run this test with RENEW_CONTRACT=1."
    )


def test_no_child_carries_an_alias_for_an_api_version_it_never_had(recorder: Recorder) -> None:
    assert {each.name: each.aliases for each in recorder.resources if each.aliases} == {}


def test_every_resource_that_takes_tags_has_the_stacks(recorder: Recorder) -> None:
    without = {
        each.type
        for each in recorder.resources
        if each.type.startswith("azure-native:")
        and each.type not in TAKE_NO_TAGS | TAGS_SAY_WHAT_THEY_HOLD
        and each.inputs.get("tags", {}).get("team") != "endpoints"
    }
    assert without == set()


def test_every_component_registers_its_outputs(recorder: Recorder) -> None:
    components = {each.name for each in recorder.resources if not each.custom}
    assert components == {name for name, outputs in recorder.component_outputs.items() if outputs}


def test_secrets_are_in_secret_inputs_only(recorder: Recorder, pfx: Path) -> None:
    for each in recorder.resources:
        for name, value in each.inputs.items():
            if name in each.secrets:
                continue
            text = json.dumps(value)
            for secret in (PASSWORD, TOKEN_KEY, "PRIVATE KEY"):
                assert secret not in text, f"{each.name}.{name}"
    exports = json.dumps(recorder.exports)
    assert "PRIVATE KEY" not in exports
    assert TOKEN_KEY not in exports


def test_the_scale_set_waits_for_nothing_that_it_does_not_use(recorder: Recorder) -> None:
    scale_set = recorder.one("azure-native:compute:VirtualMachineScaleSet")
    kinds = {
        recorder.named(name).type.rsplit(":", 1)[1]
        for name in scale_set.waits_for
        if name in {each.name for each in recorder.resources}
    }
    assert not kinds & {
        "Vault",
        "Secret",
        "StorageAccount",
        "BlobContainer",
        "RoleAssignment",
        "RecordSet",
        "Workspace",
        "DataCollectionRule",
    }
