"""Alias: the record that leads clients from their name to Azure's."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from components.dns import alias as module
from components.dns.alias import Alias, AliasArgs, relative_name
from components.dns.by_hand import Standing
from components.dns.lookups import Resolver
from components.settings import DnsMode, DnsSettings

from .mocks import Recorder, run

TARGET = "clouddp1abc123.westeurope.cloudapp.azure.com"


def alias(dns: DnsSettings, fqdn: str = "clouddp1.contoso.com") -> Recorder:
    args: AliasArgs = {"fqdn": fqdn, "target": TARGET, "dns": dns, "resolver": Resolver()}
    return run(lambda: Alias("dp-alias", args))


def in_azure() -> DnsSettings:
    return DnsSettings.model_validate(
        {"mode": DnsMode.AZURE, "zone": "contoso.com", "resourceGroup": "names", "ttl": 300}
    )


def test_an_azure_zone_gets_the_cname() -> None:
    record = alias(in_azure()).one("azure-native:dns:RecordSet").inputs
    assert record == {
        "recordType": "CNAME",
        "relativeRecordSetName": "clouddp1",
        "zoneName": "contoso.com",
        "resourceGroupName": "names",
        "ttl": 300,
        "cnameRecord": {"cname": TARGET},
        "metadata": {"pulumi": "clouddp/test"},
    }


def test_by_hand_makes_nothing_and_shows_the_line_of_the_zone_file() -> None:
    recorder = alias(DnsSettings.model_validate({"mode": DnsMode.MANUAL}))
    assert [resource.type for resource in recorder.resources] == ["clouddp:index:Alias"]
    shown = "\n".join(recorder.messages)
    for tool in ("az network dns record-set cname", "Add-DnsServerResourceRecordCName", "nsupdate"):
        assert tool in shown
    record = recorder.component_outputs["dp-alias"]["record"]
    assert record == f"clouddp1.contoso.com. 300 IN CNAME {TARGET}."


def test_by_hand_nothing_is_asked_for_once_the_record_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "standing", lambda *_: Standing(alias_of=TARGET))
    recorder = alias(DnsSettings.model_validate({"mode": DnsMode.MANUAL}))
    assert "nsupdate" not in "\n".join(recorder.messages)


def test_an_own_dns_server_gets_the_record_by_signed_updates() -> None:
    key = "c2VjcmV0IGtleSBvZiB0aGUgem9uZSwgMzIgYnl0ZXM="
    record = alias(
        DnsSettings.model_validate(
            {
                "mode": DnsMode.RFC2136,
                "zone": "contoso.com",
                "server": "ns.contoso.com:53",
                "keyName": "clouddp",
                "keySecret": SecretStr(key),
            }
        )
    ).one("clouddp-dns:index:DynamicCname")
    assert record.inputs["fqdn"] == "clouddp1.contoso.com"
    assert record.inputs["target"] == TARGET
    assert record.inputs["server"] == "ns.contoso.com:53"
    assert record.inputs["keyAlgorithm"] == "hmac-sha256"
    assert record.inputs["keySecret"] == key
    assert "keySecret" in record.secrets


@pytest.mark.parametrize(
    ("fqdn", "zone", "relative"),
    [
        ("clouddp1.contoso.com", "contoso.com", "clouddp1"),
        ("dp.west.eu.contoso.com", "contoso.com", "dp.west.eu"),
        ("contoso.contoso.com", "contoso.com", "contoso"),
    ],
)
def test_the_relative_name_is_right_for_deep_names(fqdn: str, zone: str, relative: str) -> None:
    assert relative_name(fqdn, zone) == relative
