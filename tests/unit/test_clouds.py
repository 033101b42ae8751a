"""The tables of clouds, regions and virtual machine sizes."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from components.clouds import CLOUDS, DEFAULT_CLOUD, cloud_named
from components.regions import (
    REGIONS,
    cloud_of_region,
    has_zones,
    nearest_region,
    normalise_region,
)
from components.vm_sizes import (
    DEFAULT_SIZE,
    architecture,
    parse_size,
    trusted_launch_instead,
)


def test_clouds_share_no_host_but_storages_audience() -> None:
    rows = [set(astuple(cloud)) - {cloud.storage_audience} for cloud in CLOUDS.values()]
    assert len(set.union(*rows)) == sum(map(len, rows))
    assert {cloud.storage_audience for cloud in CLOUDS.values()} == {"https://storage.azure.com/"}


def test_urls_are_https_and_suffixes_are_bare() -> None:
    for cloud in CLOUDS.values():
        for url in (cloud.resource_manager, cloud.login, cloud.vault_audience, cloud.portal):
            assert url.startswith("https://")
            assert not url.endswith("/")
        for suffix in (cloud.vm_dns_suffix, cloud.storage_suffix, cloud.vault_suffix):
            assert "/" not in suffix
            assert not suffix.startswith(".")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("public", "public"),
        ("AzureCloud", "public"),
        ("AzureUSGovernment", "usgovernment"),
        ("AzureChinaCloud", "china"),
        (" China ", "china"),
    ],
)
def test_a_cloud_is_found_by_any_name_that_azures_tools_use(spelling: str, name: str) -> None:
    cloud = cloud_named(spelling)
    assert cloud is not None
    assert cloud.name == name


def test_a_cloud_that_is_not_there_is_not_found() -> None:
    assert cloud_named("german") is None
    assert DEFAULT_CLOUD in CLOUDS


def test_every_cloud_has_regions_and_no_region_is_in_two_clouds() -> None:
    assert set(REGIONS) == set(CLOUDS)
    every = [region for regions in REGIONS.values() for region in regions]
    assert len(every) == len(set(every))
    assert all(region == normalise_region(region) for region in every)


@pytest.mark.parametrize("spelling", ["West Europe", "westeurope", "WestEurope", " WEST europe "])
def test_a_region_may_be_spelt_as_azure_lets_it(spelling: str) -> None:
    assert normalise_region(spelling) == "westeurope"


def test_the_cloud_and_zones_of_a_region_are_known() -> None:
    assert cloud_of_region("usgovvirginia") == "usgovernment"
    assert cloud_of_region("chinaeast2") == "china"
    assert cloud_of_region("moonbase1") is None
    assert has_zones("westeurope") is True
    assert has_zones("westus") is False
    assert has_zones("moonbase1") is None


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("westeurop", "westeurope"),
        ("westeuropee", "westeurope"),
        ("westeuropa", "westeurope"),
        ("wseteurope", "westeurope"),
        ("uksuoth", "uksouth"),
    ],
)
def test_one_slip_of_the_pen_is_seen(slip: str, meant: str) -> None:
    assert nearest_region(slip, "public") == meant


@pytest.mark.parametrize("new", ["eastus3", "southeastus", "taiwannorth", "germanycentral"])
def test_what_may_be_a_new_region_is_taken_for_one(new: str) -> None:
    assert nearest_region(new, "public") is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (DEFAULT_SIZE, "x64"),
        ("Standard_D2ps_v6", "arm64"),
        ("Standard_B2pls_v2", "arm64"),
        ("standard_e4PDS_v6", "arm64"),
        ("Standard_NP10s", "x64"),
        ("Standard_D2ads_v5", "x64"),
        ("nonsense", "x64"),
    ],
)
def test_the_architecture_is_read_from_the_feature_letters(size: str, expected: str) -> None:
    assert architecture(size) == expected


@pytest.mark.parametrize(
    "size",
    [
        DEFAULT_SIZE,
        "Standard_B2s",
        "Standard_B2ts_v2",
        "Standard_D2s_v3",
        "Standard_D4_v4",
        "Standard_D2ads_v5",
        "Standard_D2ps_v6",
        "Standard_D2pls_v6",
        "Standard_DS2_v2",
        "Standard_DC2s_v2",
        "Standard_E4-2ds_v5",
        "Standard_E8bs_v5",
        "Standard_F4s_v2",
        "Standard_FX4mds",
        "Standard_L8s_v3",
        "Standard_NC24ads_A100_v4",
        "Standard_NV12s_v3",
        "Standard_HB120rs_v3",
        "Standard_ZZ2s_v9",
    ],
)
def test_sizes_that_can_do_trusted_launch_pass_and_so_do_unknown_families(size: str) -> None:
    assert trusted_launch_instead(size) is None


@pytest.mark.parametrize(
    ("size", "instead"),
    [
        ("Basic_A1", "Standard_D2s_v5"),
        ("Standard_A4_v2", "Standard_D4s_v5"),
        ("Standard_D3_v2", "Standard_D4s_v5"),
        ("Standard_D13_v2_Promo", "Standard_D8s_v5"),
        ("Standard_D4_v3", "Standard_D4s_v3"),
        ("Standard_DS1", "Standard_D2s_v5"),
        ("Standard_D2ps_v5", "Standard_D2ps_v6"),
        ("Standard_D4plds_v5", "Standard_D4plds_v6"),
        ("Standard_E4ps_v5", "Standard_E4ps_v6"),
        ("Standard_DC4as_v5", "Standard_D4s_v5"),
        ("Standard_DC2es_v5", "Standard_D2s_v5"),
        ("Standard_EC4as_v5", "Standard_E4s_v5"),
        ("Standard_M128ms", "Standard_E96s_v5"),
        ("Standard_NC6", "Standard_D8s_v5"),
        ("Standard_NP10s", "Standard_D16s_v5"),
        ("Standard_ND96asr_v4", "Standard_D96s_v5"),
    ],
)
def test_sizes_that_cannot_do_trusted_launch_get_the_nearest_that_can(
    size: str, instead: str
) -> None:
    assert trusted_launch_instead(size) == instead
    assert trusted_launch_instead(instead) is None


@pytest.mark.parametrize(
    "size",
    ["Standard_D2s_v5", "Standard_E4-2ds_v5", "Standard_NC24ads_A100_v4", "Standard_D2_v2_Promo"],
)
def test_a_size_in_any_letter_case_is_written_as_azure_writes_it(size: str) -> None:
    for spelling in (size, size.lower(), size.upper()):
        assert str(parse_size(spelling)) == size


@pytest.mark.parametrize("name", ["D2s_v5", "Standard_", "Standard_D", "Standard D2s v5", ""])
def test_what_is_no_name_of_a_size_is_seen(name: str) -> None:
    assert parse_size(name) is None
