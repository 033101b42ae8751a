"""Names that somebody else holds are found out before anything is made."""

from __future__ import annotations

import dataclasses

import pytest

from sandbox import certificates, no_names
from tests.engine.program import SandboxedProgram

DEVICE = "192.0.2.7"
UNIQUE = "clouddp1q34mna"


def asking(sandbox: SandboxedProgram, nameserver: str) -> SandboxedProgram:
    return dataclasses.replace(sandbox, nameserver=nameserver)


@pytest.mark.parametrize("command", ["preview", "up"])
def test_a_fqdn_that_a_device_has_is_refused_with_what_was_found(
    sandbox: SandboxedProgram, command: str
) -> None:
    with no_names.served({certificates.FQDN: DEVICE}) as nameserver:
        options = ["--yes", "--skip-preview"] if command == "up" else []
        refused = asking(sandbox, nameserver).pulumi(command, *options, check=False)
    shown = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert f"serviceFqdn {certificates.FQDN} is in use already" in shown
    assert DEVICE in shown
    assert "Traceback" not in shown
    assert not any(each["type"].startswith("azure-native:") for each in sandbox.resources())


def test_each_name_of_azures_that_is_taken_is_named_with_its_setting(
    sandbox: SandboxedProgram,
) -> None:
    taken = {
        f"{UNIQUE}.blob.core.windows.net": "192.0.2.1",
        f"{UNIQUE}.vault.azure.net": "192.0.2.2",
        f"{UNIQUE}.westeurope.cloudapp.azure.com": "192.0.2.3",
    }
    with no_names.served(taken) as nameserver:
        refused = asking(sandbox, nameserver).up(check=False)
    shown = refused.stdout + refused.stderr
    assert refused.returncode != 0
    for setting in ("storageAccountName", "keyVaultName", "dnsLabel"):
        assert f"{setting} {UNIQUE} is taken by somebody else" in shown
    assert "Traceback" not in shown


def test_a_label_that_somebody_else_has_is_refused_when_the_stack_changes_to_it(
    sandbox: SandboxedProgram,
) -> None:
    sandbox.up()
    sandbox.config("dnsLabel", "fabrikam")
    site = sandbox.outputs()["siteUrl"]
    taken = {"fabrikam.westeurope.cloudapp.azure.com": "192.0.2.3", site: "192.0.2.4"}
    with no_names.served(taken) as nameserver:
        refused = asking(sandbox, nameserver).pulumi("preview", check=False)
    assert refused.returncode != 0
    assert "dnsLabel fabrikam is taken by somebody else" in refused.stdout + refused.stderr


@pytest.mark.parametrize("deployed", [True, False])
def test_a_record_made_by_hand_that_leads_elsewhere_is_waited_for_once_the_service_is_there(
    sandbox: SandboxedProgram, deployed: bool
) -> None:
    sandbox.config("dns", {"mode": "manual"})
    if deployed:
        sandbox.up()
    with no_names.served({certificates.FQDN: DEVICE}) as nameserver:
        preview = asking(sandbox, nameserver).pulumi("preview", check=False)
    said = preview.stdout + preview.stderr
    assert (preview.returncode == 0) is deployed
    if deployed:
        assert f"{certificates.FQDN} has the address {DEVICE}. Remove that, and create this" in said
    else:
        assert f"serviceFqdn {certificates.FQDN} is in use already" in said


def test_names_that_the_stack_itself_holds_are_no_reason_to_refuse(
    sandbox: SandboxedProgram,
) -> None:
    sandbox.up()
    outputs = sandbox.outputs()
    ours = {
        f"{UNIQUE}.blob.core.windows.net": "192.0.2.1",
        f"{UNIQUE}.vault.azure.net": "192.0.2.2",
        outputs["siteUrl"]: outputs["virtualIp"],
        outputs["serviceFqdn"]: outputs["virtualIp"],
    }
    with no_names.served(ours) as nameserver:
        asking(sandbox, nameserver).pulumi("preview", "--expect-no-changes")


def test_a_look_up_that_fails_only_warns(sandbox: SandboxedProgram) -> None:
    preview = asking(sandbox, "127.0.0.1:9").pulumi("preview")
    assert "is not known" in preview.stdout + preview.stderr
