"""The program as a user runs it: a stack's settings in, resources and outputs out."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import preflight
from components.cloud_distribution_point import OUTPUTS
from components.dns.lookups import Resolver
from components.dns.name_checks import Found
from components.proxy import Proxy
from components.readiness import waiting
from components.readiness.stages import Seen, Stage, Subject
from instance.agent.service import UsageSettings

from .certificates import make_pfx
from .mocks import Recorder, run

PROGRAM = Path(__file__).parents[2] / "__main__.py"
PASSWORD = "correct horse"
TOKEN_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def pfx(tmp_path: Path) -> Path:
    """A PFX file for clouddp1.contoso.com."""
    file = tmp_path / "clouddp1.pfx"
    file.write_bytes(make_pfx("clouddp1.contoso.com", password=PASSWORD))
    return file


def settings(pfx: Path, **changed: Any) -> dict[str, str]:
    """A stack's configuration as the engine hands it over: text, JSON but for strings."""
    values = {
        "region": "West Europe",
        "certificate": {"pfxFile": str(pfx), "password": PASSWORD},
        "access": {"tokenKey": TOKEN_KEY},
        "dns": {"mode": "azure", "zone": "contoso.com", "resourceGroup": "names"},
        "tags": {"team": "endpoints"},
        "alertEmails": ["team@contoso.com"],
        "readinessTimeoutMinutes": 0,
        **changed,
    }
    return {
        f"clouddp:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
        if value is not None
    }


def up(
    config: dict[str, str], *, preview: bool = False, recorder: Recorder | None = None
) -> Recorder:
    secret = ("clouddp:certificate", "clouddp:access")
    return run(
        lambda: runpy.run_path(str(PROGRAM)) and None,
        recorder=recorder,
        config=config,
        secret_keys=secret,
        preview=preview,
    )


def test_one_entry_shows_every_output_by_its_name(pfx: Path) -> None:
    exports = up(settings(pfx)).exports
    assert set(exports) == set(OUTPUTS)
    assert exports["serviceFqdn"] == "clouddp1.contoso.com"
    assert exports["serviceUrl"] == "https://clouddp1.contoso.com/"
    assert exports["siteUrl"].startswith("clouddp1")
    assert exports["siteUrl"].endswith(".westeurope.cloudapp.azure.com")
    assert exports["cnameRecord"].endswith(f"IN CNAME {exports['siteUrl']}.")
    assert exports["resourceGroup"] == "clouddp1"
    assert exports["contentUrl"].endswith(".blob.core.windows.net/content")
    assert len(exports["certificateThumbprint"]) == 40
    assert exports["status"] == "Not checked"


def test_nothing_is_running_with_no_instances(pfx: Path) -> None:
    recorder = up(settings(pfx, instances=0))
    assert recorder.exports["status"] == "Stopped"
    scale_set = recorder.one("azure-native:compute:VirtualMachineScaleSet")
    assert scale_set.inputs["sku"]["capacity"] == 0
    assert recorder.one("azure-native:storage:BlobContainer")


def test_another_port_is_part_of_the_services_url(pfx: Path) -> None:
    exports = up(settings(pfx, servicePort=8443)).exports
    assert exports["serviceUrl"] == "https://clouddp1.contoso.com:8443/"


def test_several_entries_share_no_name_and_show_their_outputs_by_service_name(
    pfx: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pfx"
    other.write_bytes(make_pfx("clouddp2.contoso.com", password=PASSWORD))
    recorder = up(
        settings(
            pfx,
            region=None,
            certificate=None,
            distributionPoints=[
                {
                    "region": "westeurope",
                    "certificate": {"pfxFile": str(pfx), "password": PASSWORD},
                },
                {
                    "region": "eastus",
                    "certificate": {"pfxFile": str(other), "password": PASSWORD},
                    "instances": 4,
                },
            ],
        )
    )
    points = recorder.exports["distributionPoints"]
    assert set(points) == {"clouddp1", "clouddp2"}
    assert set(points["clouddp2"]) == set(OUTPUTS)
    for name, capacity in (("clouddp1", 2), ("clouddp2", 4)):
        scale_set = recorder.named(f"{name}-service-scaleset")
        assert scale_set.inputs["sku"]["capacity"] == capacity
    names = [(each.type, each.name) for each in recorder.resources]
    assert len(names) == len(set(names))


def test_five_mistakes_are_five_sentences_and_register_nothing(pfx: Path) -> None:
    bad = settings(
        pfx,
        region="",
        warningPercent=95,
        instances=17,
        storageQuotaGB=0,
        servicePort=0,
    )
    recorder = Recorder()
    with pytest.raises(pulumi.RunError) as refused:
        up(bad, recorder=recorder)
    sentences = str(refused.value).splitlines()
    assert len(sentences) == 5
    for key in ("region", "warningPercent", "instances", "storageQuotaGB", "servicePort"):
        assert any(sentence.startswith(key) for sentence in sentences), key
    assert recorder.resources == []


def test_a_fqdn_in_the_azure_domain_needs_no_alias(tmp_path: Path) -> None:
    fqdn = "clouddp1.westeurope.cloudapp.azure.com"
    file = tmp_path / "azure.pfx"
    file.write_bytes(make_pfx(fqdn, password=PASSWORD))
    recorder = up(settings(file, dns={"mode": "manual"}))
    assert recorder.exports["cnameRecord"] == ""
    assert recorder.all("clouddp:index:Alias") == []
    address = recorder.one("azure-native:network:PublicIPAddress").inputs
    assert address["dnsSettings"]["domainNameLabel"] == "clouddp1"
    assert any("needs no alias" in message for message in recorder.messages)


VAULT = (
    "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/pki"
    "/providers/Microsoft.KeyVault/vaults/pki"
)


def up_with_vault(pfx: Path, **properties: Any) -> Recorder:
    """A deployment whose certificate is in another vault, of these properties in Azure."""
    config = settings(
        pfx,
        serviceFqdn="clouddp1.contoso.com",
        certificate={
            "keyVaultSecretId": "https://pki.vault.azure.net/secrets/clouddp1",
            "keyVaultId": VAULT,
        },
    )
    vault = {"name": "pki", "properties": {"enableRbacAuthorization": True, **properties}}
    return up(config, recorder=Recorder(answers={"azure-native:keyvault:getVault": vault}))


def test_a_vault_that_goes_by_access_policies_is_refused_before_anything_is_made(
    pfx: Path,
) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        up_with_vault(pfx, enableRbacAuthorization=None)
    assert str(refused.value) == (
        "certificate.keyVaultId names the vault pki, which goes by access policies: the role with "
        "which the service reads the certificate has no effect there. Turn it to Azure RBAC "
        "(`az keyvault update --name pki --enable-rbac-authorization true`, once all who use it "
        "have roles), or name another vault."
    )


@pytest.mark.parametrize(
    ("admitted", "warned"), [([], True), (["CLOUDDP1"], False), (["other"], True)]
)
def test_a_vault_whose_firewall_keeps_the_service_out_is_warned_of(
    pfx: Path, admitted: list[str], warned: bool
) -> None:
    firewall = {
        "bypass": "None",
        "defaultAction": "Deny",
        "virtualNetworkRules": [
            {
                "id": f"/subscriptions/x/resourcegroups/{group}/providers/Microsoft.Network"
                "/virtualNetworks/clouddp1-network/subnets/instances"
            }
            for group in admitted
        ],
    }
    messages = up_with_vault(pfx, networkAcls=firewall).messages
    assert any("does not admit virtualNetworks/clouddp1" in each for each in messages) is warned


def test_a_vault_without_public_network_access_is_warned_of(pfx: Path) -> None:
    messages = up_with_vault(pfx, publicNetworkAccess="Disabled").messages
    assert any("takes no public network access" in each for each in messages)


def test_a_certificate_in_another_vault_leaves_a_placeholder_and_grants_the_role(
    pfx: Path,
) -> None:
    recorder = up_with_vault(pfx)
    assert recorder.exports["certificateThumbprint"] == ""
    service_settings = json.loads(
        recorder.named("clouddp1-certificate-settings").inputs["properties"]["value"]
    )
    assert service_settings["certificate"] == {
        "secretId": "https://pki.vault.azure.net/secrets/clouddp1",
        "format": "pkcs12",
    }
    scopes = [
        each.inputs["scope"] for each in recorder.all("azure-native:authorization:RoleAssignment")
    ]
    assert VAULT in scopes


def test_the_agents_are_told_what_they_need_to_keep_count(pfx: Path) -> None:
    recorder = up(settings(pfx, transferQuotaGB=7, transferPeriodDays=3, stopAtCritical=True))
    secret = recorder.named("clouddp1-certificate-settings").inputs["properties"]["value"]
    told = UsageSettings.parse(secret)
    assert (told.transfer_quota, told.period_days, told.stop_at_critical) == (7 * 10**9, 3, True)
    assert "loadBalancer" in told.balancer
    assert "Custom-" in told.logs_url


def test_another_subscription_gets_one_provider_that_all_share(pfx: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pfx"
    other.write_bytes(make_pfx("clouddp2.contoso.com", password=PASSWORD))
    subscription = "00000000-0000-4000-8000-000000000001"
    recorder = up(
        settings(
            pfx,
            certificate=None,
            subscriptionId=subscription,
            distributionPoints=[
                {"certificate": {"pfxFile": str(file), "password": PASSWORD}}
                for file in (pfx, other)
            ],
        )
    )
    provider = recorder.one("pulumi:providers:azure-native")
    assert provider.inputs["subscriptionId"] == subscription
    azure = [each for each in recorder.resources if each.type.startswith("azure-native:")]
    assert azure
    assert all(each.provider.startswith(provider.urn) for each in azure)


def test_signing_in_to_another_subscription_than_the_settings_name_is_refused(pfx: Path) -> None:
    wanted = "99999999-9999-4999-8999-999999999999"
    with pytest.raises(Exception, match=f"subscriptionId is {wanted}, but the sign-in"):
        up(settings(pfx, subscriptionId=wanted))


@pytest.fixture
def right(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Subject, Resolver, Proxy]]:
    """Makes every distribution point ready at once. Returns what was looked at, and how."""
    looked: list[tuple[Subject, Resolver, Proxy]] = []

    def found(subject: Subject, *, resolver: Resolver, proxy: Proxy) -> list[Stage]:
        looked.append((subject, resolver, proxy))
        return [Stage("one", "all is right", lambda: Seen(True, "it is", "it"))]

    monkeypatch.setattr(waiting, "stages", found)
    return looked


def test_the_wait_for_ready_is_as_the_settings_say(
    pfx: Path, tmp_path: Path, right: list[tuple[Subject, Resolver, Proxy]]
) -> None:
    log = tmp_path / "status.log"
    exports = up(
        settings(
            pfx,
            readinessTimeoutMinutes=1,
            nameservers=["192.0.2.53"],
            proxy="http://proxy.contoso.com:3128",
            statusLogFile=str(log),
            readinessPath="packages/one.msi",
            instances=3,
        )
    ).exports
    assert exports["status"] == "Ready"
    ((subject, resolver, proxy),) = right
    assert str(resolver) == "192.0.2.53:53"
    assert proxy.url == resolver._proxy.url == "http://proxy.contoso.com:3128"
    assert "9409" in log.read_text()
    assert (subject.fqdn, subject.site_fqdn) == ("clouddp1.contoso.com", exports["siteUrl"])
    assert (subject.virtual_ip, subject.instances) == (exports["virtualIp"], 3)
    assert (subject.thumbprint, subject.sample) == (
        exports["certificateThumbprint"],
        "packages/one.msi",
    )
    assert (subject.token_key, subject.sample_may_be_missing) == (TOKEN_KEY, True)


def test_names_are_looked_up_as_the_settings_say(
    pfx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look_up_each(points: Sequence[tuple[object, object, Resolver]]) -> list[Found]:
        asked.extend(f"{resolver} through {resolver._proxy}" for _, _, resolver in points)
        return [Found((), ()) for _ in points]

    monkeypatch.setattr(preflight, "look_up_each", look_up_each)
    up(settings(pfx, nameservers=["192.0.2.53"], proxy="http://proxy.contoso.com:3128"))
    assert asked == ["192.0.2.53:53 through http://proxy.contoso.com:3128"]


def test_the_wait_for_ready_begins_when_all_is_there_that_clients_need(
    pfx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: set[str] = set()

    def wait_for(subject: pulumi.Output[Subject], **_: Any) -> pulumi.Output[waiting.Report]:
        async def types() -> set[str]:
            return {each.pulumi_resource_type for each in await subject.resources()}

        return pulumi.Output.from_input(types()).apply(
            lambda found: needed.update(found) or waiting.Report("Ready")
        )

    monkeypatch.setattr(waiting, "wait_for", wait_for)
    up(settings(pfx, readinessTimeoutMinutes=1))
    assert {
        "azure-native:compute:VirtualMachineScaleSet",
        "azure-native:storage:BlobContainer",
        "azure-native:network:PublicIPAddress",
    } <= needed


def test_an_existing_resource_group_is_only_read(pfx: Path) -> None:
    existing = Recorder(answers={"azure-native:resources:getResourceGroup": {"name": "existing"}})
    config = settings(pfx, resourceGroup="existing", useExistingResourceGroup=True)
    recorder = up(config, recorder=existing)
    assert recorder.all("azure-native:resources:ResourceGroup") == []
    account = recorder.one("azure-native:storage:StorageAccount")
    assert account.inputs["resourceGroupName"] == "existing"


def test_a_preview_shows_what_the_stack_will_cost_a_month_and_an_up_does_not(pfx: Path) -> None:
    def estimates(recorder: Recorder) -> list[str]:
        return [each for each in recorder.messages if each.startswith("Estimate for clouddp1")]

    (estimate,) = estimates(up(settings(pfx), preview=True))
    assert "a month" in estimate
    assert estimates(up(settings(pfx))) == []


def test_a_warning_about_a_shared_setting_is_given_once(pfx: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pfx"
    other.write_bytes(make_pfx("clouddp2.contoso.com", password=PASSWORD))
    points = [
        {"certificate": {"pfxFile": str(file), "password": PASSWORD}} for file in (pfx, other)
    ]
    recorder = up(
        settings(
            pfx, certificate=None, alertEmails=None, region="Atlantis", distributionPoints=points
        )
    )
    warnings = [message for message in recorder.messages if "region" in message]
    assert len(warnings) == len(set(warnings))
    assert warnings


def test_a_package_that_is_missing_gets_one_sentence(
    pfx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "components.settings", None)
    with pytest.raises(pulumi.RunError, match=r"components.settings is missing .*`pulumi install`"):
        up(settings(pfx))
