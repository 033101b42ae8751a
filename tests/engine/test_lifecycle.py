"""The life of a distribution point on the real engine: deployed, unchanged, refreshed, gone."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import Any

import pytest

from components.cloud_distribution_point import OUTPUTS
from sandbox import certificates
from tests.engine.program import SandboxedProgram

SCALE_SET = "azure-native:compute:VirtualMachineScaleSet"
# What a vault of the program holds.
SECRETS = 2


def touched(program: SandboxedProgram) -> dict[str, str]:
    """What a preview would do, by logical name; replacing is one step."""
    steps = program.preview()["steps"]
    return {step["urn"].rsplit("::", 1)[1]: step["op"] for step in steps if step["op"] != "same"}


def details(program: SandboxedProgram, name: str) -> set[str]:
    """The properties of one resource that a preview would change."""
    for step in program.preview()["steps"]:
        if step["urn"].endswith(f"::{name}"):
            return set(step.get("detailedDiff") or ())
    return set()


def test_up_then_no_changes_then_refresh_then_no_changes_then_destroy_leaves_nothing(
    sandbox: SandboxedProgram,
) -> None:
    sandbox.up()
    outputs = sandbox.outputs()
    assert set(outputs) == set(OUTPUTS)
    assert outputs["serviceFqdn"] == certificates.FQDN
    assert outputs["virtualIp"]
    assert outputs["cnameRecord"].endswith(f"IN CNAME {outputs['siteUrl']}.")

    sandbox.pulumi("preview", "--expect-no-changes")
    sandbox.refresh("--expect-no-changes")
    sandbox.pulumi("preview", "--expect-no-changes")

    sandbox.destroy()
    assert sandbox.resources() == []


def test_a_preview_shows_the_real_names_before_anything_exists(sandbox: SandboxedProgram) -> None:
    shown = sandbox.pulumi("preview", "--diff").stdout
    service = "clouddp1q34mna"
    for name in (
        "clouddp1",
        service,
        f"{service}.westeurope.cloudapp.azure.com",
        "clouddp1-scaleset",
    ):
        assert name in shown
    assert "PRIVATE KEY" not in shown
    assert "[secret]" in shown


def test_five_mistakes_are_five_sentences_and_nothing_is_made(sandbox: SandboxedProgram) -> None:
    sandbox.config("warningPercent", 95)
    sandbox.config("instances", 17)
    sandbox.config("servicePort", 0)
    sandbox.config("tagz", "?")
    sandbox.config("certificate.pfxFile", "no/such/file.pfx")
    done = sandbox.up(check=False)
    assert done.returncode != 0
    shown = done.stdout + done.stderr
    for beginning in ("warningPercent", "instances", "servicePort", "tagz", "certificate.pfxFile"):
        assert shown.count(f"{beginning} ") >= 1, beginning
    assert str(sandbox.root / "no/such/file.pfx") in shown
    assert "Traceback" not in shown
    assert [each["type"] for each in sandbox.resources()] in ([], ["pulumi:pulumi:Stack"])


def test_nothing_but_its_own_needs_stand_before_the_scale_set(sandbox: SandboxedProgram) -> None:
    sandbox.up()
    (scale_set,) = (each for each in sandbox.resources() if each["type"] == SCALE_SET)
    waits_for = {urn.rsplit("::", 1)[1] for urn in scale_set["dependencies"]}
    assert waits_for == {
        "clouddp1-group",
        "clouddp1-network-balancer",
        "clouddp1-network-subnet",
        "clouddp1-service-identity",
    }


@pytest.fixture
def deployed(sandbox: SandboxedProgram) -> SandboxedProgram:
    """A program whose distribution point is up."""
    sandbox.up()
    return sandbox


@pytest.mark.parametrize(
    ("setting", "value", "changes"),
    [
        ("description", "Another text", {}),
        ("storageQuotaGB", 3000, {"clouddp1-certificate-settings": "update"}),
        ("transferQuotaGB", 20000, {"clouddp1-certificate-settings": "update"}),
        ("access.anonymous", True, {"clouddp1-certificate-settings": "update"}),
        ("tags.team", "servers", {"clouddp1-content-account": "update"}),
        ("instances", 3, {"clouddp1-service-scaleset": "update"}),
        ("vmSize", "Standard_D4s_v5", {"clouddp1-service-scaleset": "update"}),
    ],
)
def test_a_change_is_made_in_place(
    deployed: SandboxedProgram, setting: str, value: Any, changes: dict[str, str]
) -> None:
    deployed.config(setting, value)
    done = touched(deployed)
    assert set(done.values()) == {"update"}
    assert changes.items() <= done.items()
    if setting not in ("instances", "vmSize", "tags.team"):
        assert "clouddp1-service-scaleset" not in done, "no machine is touched"
    deployed.up()
    deployed.pulumi("preview", "--expect-no-changes")


def test_more_instances_change_the_capacity_and_nothing_else_of_the_machines(
    deployed: SandboxedProgram,
) -> None:
    deployed.config("instances", 3)
    assert details(deployed, "clouddp1-service-scaleset") == {"sku.capacity"}


def test_a_renewed_certificate_changes_its_secret_and_shows_itself_in_the_tags(
    deployed: SandboxedProgram,
) -> None:
    before = deployed.outputs()["certificateThumbprint"]
    bundle, _ = certificates.make(certificates.FQDN, certificates.PASSWORD)
    (deployed.sandbox.certificates / certificates.PFX).write_bytes(bundle)
    changes = touched(deployed)
    changes.pop("clouddp-dev", None)
    assert changes == {"clouddp1-certificate-certificate": "update"}
    shown = deployed.pulumi("preview", "--diff").stdout
    assert before in shown
    assert "[secret]" in shown
    assert "PRIVATE KEY" not in shown
    deployed.up()
    assert deployed.outputs()["certificateThumbprint"] != before


def test_another_name_in_the_same_domain_replaces_the_record_and_no_service(
    sandbox: SandboxedProgram,
) -> None:
    other = f"downloads.{certificates.FQDN.split('.', 1)[1]}"
    sandbox.config("serviceName", "clouddp1")
    sandbox.up()
    bundle, _ = certificates.make(other, certificates.PASSWORD)
    (sandbox.sandbox.certificates / certificates.PFX).write_bytes(bundle)
    sandbox.config("serviceFqdn", other)
    changes = touched(sandbox)
    assert changes["clouddp1-alias-record"] == "replace"
    replaced = {name for name, operation in changes.items() if "replace" in operation}
    assert replaced == {"clouddp1-alias-record"}
    sandbox.up()
    assert sandbox.outputs()["serviceFqdn"] == other


def test_another_region_is_refused_while_content_is_protected(sandbox: SandboxedProgram) -> None:
    sandbox.config("protectContent", True)
    sandbox.up()
    sandbox.config("region", "northeurope")
    refused = sandbox.pulumi("preview", check=False)
    assert refused.returncode != 0
    shown = refused.stdout + refused.stderr
    assert "protect" in shown
    assert "Traceback" not in shown


def test_protected_content_is_not_destroyed_nor_is_anything_else(
    sandbox: SandboxedProgram,
) -> None:
    sandbox.config("protectContent", True)
    sandbox.up()
    before = len(sandbox.resources())
    refused = sandbox.pulumi("destroy", "--yes", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert len(sandbox.resources()) == before
    sandbox.config("protectContent", False)
    sandbox.up()
    sandbox.destroy()
    assert sandbox.resources() == []


def test_after_a_destroy_the_vaults_name_is_taken_until_the_vault_is_taken_back(
    deployed: SandboxedProgram,
) -> None:
    deployed.destroy()
    refused = deployed.up(check=False)
    assert refused.returncode != 0
    shown = refused.stdout + refused.stderr
    assert "az keyvault purge" in shown
    assert "recoverKeyVault" in shown
    assert "Traceback" not in shown
    deployed.config("recoverKeyVault", True)
    # The engine begins nothing new after the first failure, so each run names what it met.
    for _ in range(SECRETS):
        recovered = deployed.up(check=False)
        commands = re.findall(r"`pulumi (import [^`]+)`", recovered.stderr + recovered.stdout)
        for command in dict.fromkeys(commands):
            deployed.pulumi(*shlex.split(command))
    deployed.config("recoverKeyVault", False)
    deployed.up()
    deployed.pulumi("preview", "--expect-no-changes")


def test_another_region_replaces_the_distribution_point_when_content_is_not_protected(
    deployed: SandboxedProgram,
) -> None:
    deployed.config("region", "northeurope")
    deployed.up()
    assert ".northeurope." in deployed.outputs()["siteUrl"]
    deployed.pulumi("preview", "--expect-no-changes")


def test_none_instances_stop_the_service_and_keep_the_content(deployed: SandboxedProgram) -> None:
    deployed.config("instances", 0)
    assert set(touched(deployed).values()) == {"update"}
    deployed.up()
    assert deployed.outputs()["status"] == "Stopped"
    assert any(each["type"].endswith(":BlobContainer") for each in deployed.resources())


def test_two_regions_in_one_stack_are_two_distribution_points(sandbox: SandboxedProgram) -> None:
    folder = sandbox.sandbox.certificates
    second = "clouddp2.contoso.example"
    bundle, _ = certificates.make(second, certificates.PASSWORD)
    (folder / "clouddp2.pfx").write_bytes(bundle)
    shutil.copyfile(folder / certificates.PFX, folder / "first.pfx")
    certificate = {"password": certificates.PASSWORD}
    sandbox.unset("region")
    sandbox.unset("certificate")
    sandbox.config(
        "distributionPoints",
        [
            {
                "region": "westeurope",
                "certificate": {"pfxFile": ".sandbox/certificates/first.pfx", **certificate},
            },
            {
                "region": "eastus",
                "certificate": {"pfxFile": ".sandbox/certificates/clouddp2.pfx", **certificate},
            },
        ],
    )
    sandbox.up()
    points = sandbox.outputs()["distributionPoints"]
    assert points["clouddp1"]["siteUrl"].endswith(".westeurope.cloudapp.azure.com")
    assert points["clouddp2"]["siteUrl"].endswith(".eastus.cloudapp.azure.com")
    assert points["clouddp1"]["virtualIp"] != points["clouddp2"]["virtualIp"]
    sandbox.pulumi("preview", "--expect-no-changes")
    sandbox.destroy()
    assert sandbox.resources() == []
