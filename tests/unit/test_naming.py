"""Names: always valid, always the same for the same settings, never another organisation's."""

from __future__ import annotations

import re
import string
import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components import naming
from components.clouds import CLOUDS
from components.naming import Names, digest
from components.values import Refused

PUBLIC = CLOUDS["public"]
services = st.from_regex(r"[a-z][a-z0-9]{2,17}", fullmatch=True)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(lambda parts: ".".join([*parts, "com"]))
regions = st.sampled_from(["westeurope", "eastus2", "germanywestcentral"])


def names(**changed: str) -> Names:
    values = {"service": "cdp1", "fqdn": "cdp1.contoso.com", "region": "westeurope", **changed}
    return Names.compute(cloud=PUBLIC, **values)


def test_the_names_of_a_distribution_point_are_these_and_stay_these() -> None:
    assert names() == Names(
        service="cdp1",
        fqdn="cdp1.contoso.com",
        region="westeurope",
        resource_group="cdp1",
        dns_label="cdp1yav3hl",
        site_fqdn="cdp1yav3hl.westeurope.cloudapp.azure.com",
        storage_account="cdp1yav3hl",
        key_vault="cdp1yav3hl",
        log_workspace="cdp1yav3hl",
        container="content",
        certificate_secret="certificate",
        settings_secret="settings",
    )
    assert names().of("network") == "cdp1-network"
    assert names().guid("vault", "reader") == "8c9554be-7506-51d8-b5d2-7d3e95e03b9c"


@given(services, labels, domains, regions)
def test_made_up_names_are_always_valid_and_always_the_same(
    service: str, label: str, domain: str, region: str
) -> None:
    made = names(service=service, fqdn=f"{label}.{domain}", region=region)
    assert re.fullmatch(r"[a-z][a-z0-9]{8,23}", made.storage_account)
    assume("windows" not in service and "microsoft" not in service)
    assume(not service.startswith("login"))
    assert naming.dns_label(made.dns_label) == made.dns_label
    assert naming.storage_account_name(made.storage_account) == made.storage_account
    assert naming.key_vault_name(made.key_vault) == made.key_vault
    assert naming.resource_group_name(made.resource_group) == made.resource_group
    assert re.fullmatch(r"[a-z][a-z0-9]{3,62}", made.log_workspace)
    assert made == names(service=service, fqdn=f"{label}.{domain}", region=region)


@given(st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=63))
def test_the_fqdns_first_label_gives_a_valid_service_name_or_none(label: str) -> None:
    try:
        name = naming.service_name_from_fqdn(f"{label.lower()}.contoso.com")
    except Refused:
        return
    assert re.fullmatch(r"[a-z][a-z0-9]{2,17}", name)
    assert name == label.lower().replace("-", "")


@pytest.mark.parametrize(
    ("fqdn", "name"),
    [("cdp1.contoso.com", "cdp1"), ("cdp-west-1.contoso.com", "cdpwest1")],
)
def test_a_service_name_is_the_labels_letters_and_digits(fqdn: str, name: str) -> None:
    assert naming.service_name_from_fqdn(fqdn) == name


@pytest.mark.parametrize("label", ["1cdp", "ab", "cloud-distribution-point-1", "xn--mnchen-3ya"])
def test_a_label_that_can_be_no_service_name_is_refused_and_never_cut_off(label: str) -> None:
    with pytest.raises(Refused):
        naming.service_name_from_fqdn(f"{label}.contoso.com")


def test_the_digest_tells_organisations_and_regions_apart_and_hosts_not() -> None:
    own = digest("cdp1.contoso.com", "westeurope")
    assert re.fullmatch(r"[a-z2-7]{6}", own)
    assert digest("cdp2.contoso.com", "westeurope") == own
    assert digest("cdp1.fabrikam.com", "westeurope") != own
    assert digest("cdp1.contoso.com", "eastus") != own


def test_in_the_azure_domain_which_is_everyones_the_whole_fqdn_is_digested() -> None:
    azure = "westeurope.cloudapp.azure.com"
    assert digest(f"cdp1.{azure}", "westeurope") != digest(f"cdp2.{azure}", "westeurope")
    made = names(fqdn=f"cdp7.{azure}")
    assert made.dns_label == "cdp7"
    assert made.site_fqdn == made.fqdn
    assert made.storage_account.startswith("cdp1")


@pytest.mark.parametrize(
    "fqdn",
    [
        "cdp1.northeurope.cloudapp.azure.com",
        "cdp1.sub.westeurope.cloudapp.azure.com",
        "cdp1.westeurope.cloudapp.chinacloudapi.cn",
    ],
)
def test_a_fqdn_in_the_azure_domain_of_another_region_or_cloud_is_refused(fqdn: str) -> None:
    with pytest.raises(Refused, match="lies in the Azure domain"):
        naming.azure_label(fqdn, "westeurope", PUBLIC)


def test_a_domain_that_only_looks_like_azures_is_any_other_domain() -> None:
    assert naming.azure_label("cdp1.mycloudapp.azure.com", "westeurope", PUBLIC) is None


def test_names_chosen_by_hand_win() -> None:
    made = names(
        resource_group="Group", dns_label="label", storage_account="account", key_vault="Vault-1"
    )
    assert (made.resource_group, made.dns_label) == ("Group", "label")
    assert (made.storage_account, made.key_vault) == ("account", "Vault-1")
    assert made.site_fqdn == "label.westeurope.cloudapp.azure.com"


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n")), min_size=1, max_size=3)
)
def test_guids_depend_on_every_part_and_on_the_distribution_point(parts: list[str]) -> None:
    made = names()
    assert str(uuid.UUID(made.guid(*parts))) == made.guid(*parts)
    assert made.guid(*parts) != made.guid(*parts, "more")
    assert made.guid(*parts) != names(service="cdp2").guid(*parts)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (naming.service_name, ["abc", "a" * 18], ["ab", "a" * 19, "1ab", "a-b", "Abc"]),
        (naming.dns_label, ["a-1", "a" * 63], ["ab", "a" * 64, "1ab", "ab-", "Abc", "a.b"]),
        (naming.storage_account_name, ["1ab", "a" * 24], ["ab", "a" * 25, "a-b", "Abc"]),
        (
            naming.key_vault_name,
            ["A-1", "a" * 24],
            ["ab", "a" * 25, "1ab", "ab-", "a--b", "a_b"],
        ),
        (naming.resource_group_name, ["a", "(ü).1-_", "a" * 90], ["", "a.", "a/b", "a" * 91]),
    ],
)
def test_azures_rules_for_names_are_kept(rule: object, good: list[str], bad: list[str]) -> None:
    assert callable(rule)
    for name in good:
        assert rule(name) == name
    for name in bad:
        with pytest.raises(Refused):
            rule(name)


@pytest.mark.parametrize("name", ["mymicrosoftcdp", "contosowindows1", "logincdp", "azure", "xbox"])
def test_words_that_azure_reserves_are_refused(name: str) -> None:
    for rule in (naming.dns_label, naming.storage_account_name, naming.key_vault_name):
        with pytest.raises(Refused, match="reserves"):
            rule(name)


@pytest.mark.parametrize("name", ["azurecdp", "mylogin", "xboxcdp"])
def test_words_reserved_elsewhere_in_a_name_pass(name: str) -> None:
    assert naming.dns_label(name) == name
