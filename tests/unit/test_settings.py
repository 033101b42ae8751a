"""A stack's settings as a whole: what is taken from where, and how mistakes are gathered."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from components.settings import (
    DnsMode,
    PublisherType,
    SettingsError,
    from_engine,
    load,
)
from components.settings.model import model_of
from components.settings.parsing import KEYS, LIST_KEY, keys_of

from .certificates import PASSWORD, intermediate, make_pfx, root
from .stack import GUID, NOBODY_TOLD, TOKEN_KEY, VNET, config, folder, loaded, loaded_all, problems


class Empty(BaseModel):
    """An object without keys."""


class Raw(str):
    """Text that is handed over as it is."""


nested = [inner for f in KEYS.values() for inner in keys_of(model_of(f.annotation) or Empty)]
names = st.sampled_from([*KEYS, *nested, LIST_KEY]) | st.text(max_size=5)

CDP1 = {"certificate": {"pfxFile": "cdp1.pfx", "password": PASSWORD}}
CDP2 = {"certificate": {"pfxFile": "cdp2.pfx", "password": PASSWORD}}


def two(
    first: dict[str, Any] | None = None, second: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A stack of two distribution points, each with a certificate of its own."""
    return {
        "certificate": None,
        "distributionPoints": [CDP1 | (first or {}), CDP2 | (second or {})],
    }


def test_a_small_stack_gets_names_certificate_and_defaults() -> None:
    entry = loaded()
    assert entry.region == "westeurope"
    assert entry.service_fqdn == entry.names.fqdn == "cdp1.contoso.com"
    assert entry.service_name == entry.names.service == "cdp1"
    assert entry.resource_group == "cdp1"
    assert entry.storage_account_name == entry.names.storage_account
    assert entry.cloud == "public"
    assert entry.service_certificate is not None
    assert entry.service_certificate.covers("cdp1.contoso.com")
    assert (entry.storage_quota_gb, entry.transfer_quota_gb) == (2000, 10_000)
    assert (entry.warning_percent, entry.critical_percent) == (50, 90)
    assert (entry.instances, entry.vm_size, entry.zones) == (2, "Standard_D2s_v5", ())
    assert entry.automatic_os_upgrades is None
    assert entry.dns.mode is DnsMode.MANUAL
    assert entry.protect_content is True
    assert entry.trust_roots_pem == ""
    assert entry.warnings == ()


def test_what_was_given_is_kept_in_its_normal_form() -> None:
    entry = loaded(
        region=" WEST europe ",
        serviceFqdn="CDP1.Contoso.COM.",
        subscriptionId=GUID.upper(),
        vmSize="standard_d2PS_V6",
        zones=["3", "1"],
        publisherAddresses=["203.0.113.0/24", "198.51.100.7/32", "198.51.100.8/31"],
        publisherSubnets=[f"{VNET}/subnets/agents/"],
        contentPublishers=[{"objectId": GUID, "type": "Group"}],
        nameservers=["192.0.2.1", "ns.contoso.com:5353", "2001:db8::1", "[2001:db8::2]:53"],
        dns={
            "mode": "rfc2136",
            "zone": "Contoso.com.",
            "server": "ns1.contoso.com",
            "keyName": "clouddp.",
            "keySecret": "c2Vj\ncmV0",
        },
        proxy="proxy.contoso.com:3128",
        statusLogFile="status.log",
        readinessPath="/packages/Über uns.msi",
        access={"anonymous": True},
    )
    assert entry.region == "westeurope"
    assert entry.service_fqdn == "cdp1.contoso.com"
    assert entry.subscription_id == GUID
    assert entry.vm_size == "Standard_D2ps_v6"
    assert entry.zones == ("1", "3")
    assert entry.publisher_addresses == (
        "203.0.113.0/24",
        "198.51.100.7",
        "198.51.100.8",
        "198.51.100.9",
    )
    assert entry.publisher_subnets == (f"{VNET}/subnets/agents",)
    assert entry.content_publishers[0].object_id == GUID
    assert entry.content_publishers[0].type is PublisherType.GROUP
    assert entry.nameservers == (
        "192.0.2.1:53",
        "ns.contoso.com:5353",
        "[2001:db8::1]:53",
        "[2001:db8::2]:53",
    )
    assert (entry.dns.zone, entry.dns.server) == ("contoso.com", "ns1.contoso.com:53")
    assert entry.dns.key_name == "clouddp"
    assert entry.dns.key_algorithm == "hmac-sha256"
    assert entry.dns.key_secret is not None
    assert entry.dns.key_secret.get_secret_value() == "c2VjcmV0"
    assert entry.proxy is not None
    assert entry.proxy.get_secret_value() == "http://proxy.contoso.com:3128"
    assert entry.status_log_file == str(folder() / "status.log")
    assert entry.readiness_path == "packages/Über uns.msi"


def test_what_the_cli_fills_in_for_keys_that_are_not_given_counts_as_not_given() -> None:
    neutral = {
        "serviceFqdn": "",
        "serviceName": "",
        "proxy": "",
        "dns": {},
        "zones": [],
        "tags": {},
    }
    assert loaded(**neutral) == loaded()


def test_the_password_may_have_blanks_around_it() -> None:
    (folder() / "blank.pfx").write_bytes(make_pfx(password=" a "))
    assert loaded(certificate={"pfxFile": "blank.pfx", "password": " a "}).service_certificate


def test_the_certificate_may_come_as_base64() -> None:
    data = base64.encodebytes((folder() / "cdp1.pfx").read_bytes()).decode()
    entry = loaded(certificate={"pfxBase64": data, "password": PASSWORD})
    assert entry.service_fqdn == "cdp1.contoso.com"
    assert entry.service_certificate == loaded().service_certificate


def test_a_certificate_in_a_vault_is_not_read() -> None:
    vault = f"/subscriptions/{GUID}/resourceGroups/pki/providers/Microsoft.KeyVault/vaults/PKI"
    entry = loaded(
        serviceFqdn="cdp1.contoso.com",
        certificate={
            "keyVaultSecretId": "https://pki.vault.azure.net/secrets/cdp1/",
            "keyVaultId": vault + "/",
        },
    )
    assert entry.service_certificate is None
    assert entry.certificate.key_vault_secret_id == "https://pki.vault.azure.net/secrets/cdp1"
    assert entry.certificate.key_vault_id == vault


def test_trust_roots_of_several_files_become_one_text_without_doubles() -> None:
    (folder() / "roots.txt").write_bytes(b"Contoso Root\n" + (folder() / "roots.pem").read_bytes())
    entry = loaded(access={"clientTrustRoots": ["roots.pem", "roots.txt"]})
    certificates = x509.load_pem_x509_certificates(entry.trust_roots_pem.encode())
    assert certificates == [root().certificate, intermediate().certificate]


def test_a_fqdn_in_the_azure_domain_brings_its_own_label() -> None:
    entry = loaded(certificate={"pfxFile": "azure.pfx", "password": PASSWORD})
    assert entry.dns_label == "cdp1"
    assert entry.names.site_fqdn == entry.service_fqdn


def test_absolute_paths_are_left_as_they_are() -> None:
    file = str(folder() / "cdp1.pfx")
    assert loaded(certificate={"pfxFile": file, "password": PASSWORD}).certificate.pfx_file == file


def test_the_cloud_follows_the_provider() -> None:
    changed: dict[str, Any] = {"region": "US Gov Virginia", "cloud": "usgovernment"}
    (entry,) = loaded_all(azure={"environment": "usgovernment"}, **changed)
    assert entry.names.site_fqdn.endswith(".usgovvirginia.cloudapp.usgovcloudapi.net")
    (entry,) = loaded_all(environment={"ARM_ENVIRONMENT": "AzureUSGovernment"}, **changed)
    assert entry.cloud == "usgovernment"


def test_resolvers_and_proxy_come_from_the_environment_unless_they_are_set() -> None:
    environment = {
        "CLOUDDP_NAMESERVERS": "192.0.2.1, 192.0.2.2:5353",
        "HTTPS_PROXY": "http://user:pass@proxy.contoso.com:3128",
    }
    (entry,) = loaded_all(environment=environment)
    assert entry.nameservers == ("192.0.2.1:53", "192.0.2.2:5353")
    assert entry.proxy is not None
    assert entry.proxy.get_secret_value() == environment["HTTPS_PROXY"]
    (entry,) = loaded_all(environment=environment, nameservers=["192.0.2.3"])
    assert entry.nameservers == ("192.0.2.3:53",)


def test_a_mistake_in_the_environment_is_told_by_the_variables_name() -> None:
    (sentence,) = problems(environment={"CLOUDDP_NAMESERVERS": "192.0.2.1:x"})
    assert sentence.startswith('CLOUDDP_NAMESERVERS[0] "192.0.2.1:x" is not a DNS server')
    (sentence,) = problems(environment={"HTTPS_PROXY": "socks://user:pass@proxy"})
    assert sentence.startswith("HTTPS_PROXY does not begin with http:// or https://")


# Several entries


def test_an_entry_takes_the_stacks_value_or_replaces_it_as_a_whole() -> None:
    first, second = loaded_all(
        **two({"instances": 4}, {"access": {"anonymous": True}, "alertEmails": []}),
        tags={"team": "endpoints"},
    )
    assert (first.instances, second.instances) == (4, 2)
    assert first.access.token_key is not None
    assert second.access.token_key is None
    assert first.alert_emails == ("team@contoso.com",)
    assert second.alert_emails == ()
    assert first.tags == second.tags == {"team": "endpoints"}


def test_an_entrys_empty_text_takes_the_default_and_not_the_stacks_value() -> None:
    first, second = loaded_all(**two(second={"proxy": ""}), proxy="http://proxy.contoso.com")
    assert first.proxy is not None
    assert second.proxy is None


def test_an_empty_list_of_entries_is_one_distribution_point() -> None:
    assert loaded_all(distributionPoints=[]) == loaded_all()


def test_a_mistake_in_an_entry_is_told_by_its_place_and_one_of_the_stack_once() -> None:
    assert problems(
        **two(second={"instances": 17, "certificate": {"pfxFile": "none.pfx"}, "instnces": 1}),
        warningPercent=95,
        tags={"a/b": ""},
    ) == [
        (
            'tags has the tag name "a/b", which Azure refuses: use 1 to 128 characters without '
            "< > % & \\ ? /."
        ),
        (
            "warningPercent 95 must be less than criticalPercent, which is 90: lower the one or "
            "raise the other."
        ),
        "distributionPoints[1].instances 17 is out of range: use a whole number from 0 to 16.",
        'distributionPoints[1].instnces is not a setting here: did you mean "instances"?',
        (
            'distributionPoints[1].certificate.pfxFile "none.pfx" does not exist: there is no file '
            f"{folder()}/none.pfx."
        ),
    ]


def test_what_no_entry_and_no_stack_has_is_missed_in_each_entry() -> None:
    assert problems(**two(), region="") == [
        f'distributionPoints[{n}].region is required: set an Azure region such as "westeurope".'
        for n in (0, 1)
    ]


def test_an_entry_that_is_no_object_is_told_and_not_shown() -> None:
    assert problems(distributionPoints=[CDP1, "password"], certificate=None) == [
        "distributionPoints[1] must be an object: write `key: value` lines under it."
    ]
    assert problems(distributionPoints='{"region": 1}') == [
        "distributionPoints must be a list: write each item on a line of its own, after a hyphen."
    ]


def test_an_entry_may_have_no_list_of_its_own() -> None:
    (sentence,) = problems(**two(first={"distributionPoints": []}))
    assert sentence.startswith("distributionPoints[0].distributionPoints is not a setting here")


CLASH = "is also that of distributionPoints[0]: give each entry its own."


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (
            {},
            {"serviceName": "cdp1"},
            f'distributionPoints[1].serviceName "cdp1" {CLASH}',
        ),
        (
            {"storageAccountName": "contosocdp"},
            {"storageAccountName": "contosocdp"},
            f'distributionPoints[1].storageAccountName "contosocdp" {CLASH}',
        ),
        (
            {"keyVaultName": "Contoso-cdp"},
            {"keyVaultName": "contoso-CDP"},
            f'distributionPoints[1].keyVaultName "contoso-CDP" {CLASH}',
        ),
        (
            {"dnsLabel": "contoso-cdp"},
            {"dnsLabel": "contoso-cdp"},
            f'distributionPoints[1].dnsLabel "contoso-cdp" {CLASH}',
        ),
        (
            {"resourceGroup": "cdp2"},
            {},
            (
                'distributionPoints[1].resourceGroup is not given and would be "cdp2", which is '
                "also that of distributionPoints[0]: a new group belongs to "
                "one entry, so name another, "
                "or let both use an existing one."
            ),
        ),
    ],
)
def test_what_two_entries_may_not_share_is_refused(
    first: dict[str, Any], second: dict[str, Any], sentence: str
) -> None:
    assert problems(**two(first, second)) == [sentence]


def test_two_entries_with_one_certificate_and_no_names_of_their_own_are_refused() -> None:
    name = "is not given and would be"
    assert problems(distributionPoints=[{}, {"region": "eastus"}]) == [
        (
            f'distributionPoints[1].serviceFqdn {name} "cdp1.contoso.com", which is also that of '
            "distributionPoints[0]: set serviceFqdn in each, to names that the certificate they "
            "share carries (cdp1.contoso.com), or give each entry its own certificate."
        ),
    ]


def test_labels_are_unique_in_a_region_and_existing_groups_may_be_shared() -> None:
    shared = {"dnsLabel": "cdp", "resourceGroup": "g", "useExistingResourceGroup": True}
    first, second = loaded_all(**two(shared, shared | {"region": "eastus"}))
    assert first.names.site_fqdn != second.names.site_fqdn
    assert first.resource_group == second.resource_group


def test_a_group_of_that_name_in_another_subscription_is_another_group() -> None:
    assert loaded_all(**two({"resourceGroup": "g"}, {"resourceGroup": "g", "subscriptionId": GUID}))


def test_one_certificate_serves_several_entries_if_it_carries_each_name() -> None:
    names = [{"serviceFqdn": "cdp1.contoso.com"}, {"serviceFqdn": "cdp2.contoso.com"}]
    both = {"pfxFile": "both.pfx", "password": PASSWORD}
    assert len(loaded_all(certificate=both, distributionPoints=names)) == 2
    wildcard = {"pfxFile": "wildcard.pfx", "password": PASSWORD}
    assert (
        len(loaded_all(certificate=wildcard, testEnvironment=True, distributionPoints=names)) == 2
    )
    (sentence,) = problems(distributionPoints=names)
    assert 'does not cover "cdp2.contoso.com"' in sentence


# Mistakes


def test_five_mistakes_are_five_sentences_and_none_hides_another() -> None:
    sentences = problems(
        region="nowhere-at-all",
        warningPercent=95,
        instances=17,
        certificate={"pfxFile": "none.pfx"},
        dns={"mode": "azure", "zone": "contoso.com"},
    )
    keys = [sentence.split()[0] for sentence in sentences]
    assert keys == [
        "region",
        "instances",
        "warningPercent",
        "certificate.pfxFile",
        "dns.resourceGroup",
    ]


def test_a_check_of_several_keys_is_left_out_only_where_one_of_them_is_bad() -> None:
    (sentence,) = problems(warningPercent=95, criticalPercent=0)
    assert sentence.startswith("criticalPercent 0 is out of range")
    sentences = problems(access={"tokenKey": "short", "revocationLists": ["ftp://x"]})
    assert [sentence.split()[0] for sentence in sentences] == [
        "access.revocationLists[0]",
        "access.tokenKey",
    ]


def test_a_misspelt_key_beside_the_right_one_hides_nothing() -> None:
    assert problems(regions="x", region="westeurop") == [
        'regions is not a setting here: did you mean "region"?',
        'region "westeurop" is not an Azure region: did you mean "westeurope"?',
    ]


def test_the_error_is_all_sentences_one_on_each_line() -> None:
    with pytest.raises(SettingsError) as refused:
        load(config(instances=17, servicePort=0), root=folder(), azure={})
    assert str(refused.value).splitlines() == refused.value.problems
    assert len(refused.value.problems) == 2


def test_what_would_move_a_terminals_cursor_never_reaches_it() -> None:
    (sentence,) = problems(vmSize="\x1b[2J\u202e")
    assert sentence.isprintable()


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(names, junk | st.text(max_size=8).map(Raw), max_size=4))
def test_whatever_is_set_the_answer_is_printable_sentences(keys: dict[str, Any]) -> None:
    text = {key: v if isinstance(v, Raw) else json.dumps(v) for key, v in keys.items()}
    try:
        assert load(config() | text, root=folder(), azure={})
    except SettingsError as error:
        for sentence in error.problems:
            assert sentence.isprintable()
            assert sentence.endswith((".", "?"))


# Secrets

SECRETS: dict[str, Any] = {
    "certificate": {"pfxFile": "cdp1.pfx", "password": "s3cret-password"},
    "access": {"tokenKey": "s3cret-key", "previousTokenKey": 53, "tokenkey": "s3cret-too"},
    "alertWebhooks": ["http://hooks.contoso.com/s3cret"],
    "dns": {"mode": "rfc2136", "zone": "contoso.com", "keySecret": "s3cret!"},
    "proxy": "ftp://user:s3cret@proxy",
    "sshPublicKey": "s3cret",
}


def test_no_message_shows_a_secret() -> None:
    text = "\n".join(problems(**SECRETS))
    assert text.count("\n") >= 6
    assert "s3cret" not in text
    assert "53" not in text
    text = "\n".join(
        problems(access="s3cret", certificate="s3cret", dns='["s3cret"]', tags="s3cret")
    )
    assert text.count("\n") == 3
    assert "s3cret" not in text


def test_what_the_user_keeps_secret_is_not_shown_and_its_neighbours_are() -> None:
    (sentence,) = problems(region="mars!", secret_keys=("region",))
    assert "mars" not in sentence
    (sentence,) = problems(region="m!", secret_keys=("certificate",))
    assert '"m!"' in sentence


def test_secrets_are_kept_out_of_what_a_debugger_or_log_prints() -> None:
    entry = loaded(alertWebhooks=["https://hooks.contoso.com/s3cret"], proxy="http://u:s3cret@p.x")
    assert entry.service_certificate is not None
    for text in (repr(entry), str(entry), entry.model_dump_json()):
        assert TOKEN_KEY not in text
        assert PASSWORD not in text
        assert "s3cret" not in text
        assert "PRIVATE KEY" not in text


def test_settings_cannot_be_changed_afterwards() -> None:
    entry = loaded()
    with pytest.raises(ValidationError):
        entry.instances = 3  # ty: ignore[invalid-assignment]
    with pytest.raises(ValidationError):
        entry.access.anonymous = True  # ty: ignore[invalid-assignment]


# Warnings


@pytest.mark.parametrize(
    ("changed", "start"),
    [
        ({"region": "moonbase1"}, 'region "moonbase1" is not among the '),
        ({"region": "eastus9"}, 'region "eastus9" is not among the '),
        (
            {"region": "westus", "zones": ["1"]},
            "zones are set, but westus had no availability zones",
        ),
        (
            {"certificate": {"pfxFile": "expiring.pfx", "password": PASSWORD}},
            'certificate.pfxFile "expiring.pfx" expires on ',
        ),
    ],
)
def test_what_may_be_right_is_a_warning(changed: dict[str, Any], start: str) -> None:
    (warning,) = loaded(**changed).warnings
    assert warning.startswith(start)


def test_alerts_that_nobody_hears_are_a_warning() -> None:
    assert loaded(alertEmails=[]).warnings == (NOBODY_TOLD,)
    assert loaded(alertEmails=[], alertWebhooks=["https://hooks.contoso.com/"]).warnings == ()


def test_a_secret_in_plain_text_is_a_warning_that_shows_how_to_hide_it() -> None:
    assert loaded(secret_keys=("certificate",)).warnings == (plain("access.tokenKey"),)
    assert loaded(secret_keys=("access",)).warnings == (plain("certificate.password"),)
    (entry,) = loaded_all(distributionPoints=[CDP1], secret_keys=("access", "certificate"))
    assert entry.warnings == (plain("distributionPoints[0].certificate.password"),)
    hooks = ["https://hooks.contoso.com/", "https://hooks.contoso.com/T0/B0/token"]
    with_password = "http://user:password@proxy.contoso.com:3128"
    assert loaded(alertWebhooks=hooks, proxy=with_password).warnings == (
        plain("alertWebhooks[1]"),
        plain("proxy"),
    )
    hidden = ("access", "certificate", "alertWebhooks", "proxy")
    assert loaded(alertWebhooks=hooks, proxy=with_password, secret_keys=hidden).warnings == ()
    assert loaded(proxy="http://proxy.contoso.com:3128").warnings == ()


def plain(path: str) -> str:
    """The warning about a secret that anybody can read."""
    return (
        f"{path} stands in the stack file as plain text: set it anew with "
        f"`pulumi config set --path --secret '{path}'`, and use another value if others could read "
        "this one."
    )


def test_a_setting_in_another_namespace_is_told() -> None:
    lost = 'cdp:instances is not read: settings begin with "clouddp:", so rename it to clouddp:'
    assert loaded(others=("cdp:instances",)).warnings == (f"{lost}instances.",)
    filled_in = {"instances": 2, "zones": [], "dns": {}, "vmSize": "Standard_D2s_v5"}
    others = tuple(f"cdp:{key}" for key in filled_in)
    assert len(loaded(others=others, **filled_in).warnings) == len(filled_in)
    assert problems(region=None, others=("cdp:region", "clouddp:access")) == [
        'region is required: set an Azure region such as "westeurope".',
        f"{lost.replace('instances', 'region')}region.",
    ]


def test_settings_of_others_are_their_own() -> None:
    others = ("azure-native:subscriptionId", "azuread:proxy", "pulumi:tags", "cdp:colour")
    assert loaded(others=others).warnings == ()
    assert loaded(others=("aws:region",)).warnings == ()


# The engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An engine that hands over its configuration in the environment."""
    for variable in ("CLOUDDP_NAMESERVERS", "HTTPS_PROXY", "https_proxy", "ARM_ENVIRONMENT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pulumi, "get_root_directory", lambda: str(folder()))
    pulumi.runtime.set_all_config({}, [])
    return monkeypatch


def hand_over(engine: pytest.MonkeyPatch, keys: dict[str, str], secret: list[str]) -> None:
    engine.setenv("PULUMI_CONFIG", json.dumps({"other:region": "x", **keys}))
    engine.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(secret))


def test_the_engines_configuration_is_read_from_its_environment(
    engine: pytest.MonkeyPatch,
) -> None:
    keys = {f"clouddp:{key}": value for key, value in config(cloud="china").items()}
    hand_over(
        engine, keys | {"azure-native:environment": "china", "clouddp:region": "chinanorth3"}, []
    )
    (entry,) = from_engine()
    assert entry.names.site_fqdn.endswith(".chinanorth3.cloudapp.chinacloudapi.cn")


def test_unknown_keys_and_secrets_of_the_engine_are_seen(engine: pytest.MonkeyPatch) -> None:
    keys = {f"clouddp:{key}": value for key, value in config(region="s3cret!").items()}
    hand_over(engine, keys | {"clouddp:frobnicate": "1"}, ["clouddp:region"])
    with pytest.raises(SettingsError) as refused:
        from_engine()
    assert [problem.split()[0] for problem in refused.value.problems] == ["frobnicate", "region"]
    assert "s3cret" not in str(refused.value)


def test_configuration_that_was_set_in_the_process_comes_first(engine: pytest.MonkeyPatch) -> None:
    keys = {f"clouddp:{key}": value for key, value in config().items()}
    hand_over(engine, keys, [])
    pulumi.runtime.set_all_config(keys | {"clouddp:instances": "5"})
    (entry,) = from_engine()
    assert entry.instances == 5


def test_reading_the_settings_does_not_load_the_azure_sdk() -> None:
    program = "import sys, components.settings; print(any('pulumi' in m for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "False"
