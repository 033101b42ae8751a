"""Names that are in use are found before anything is made, and nothing else is."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable

import pytest

from components.clouds import CLOUDS
from components.dns.lookups import Resolver
from components.dns.name_checks import (
    Found,
    Holder,
    Taken,
    look_up,
    look_up_each,
    refusals,
)
from components.naming import Names
from tests.dns.servers import ADDRESS, Bind, free_port

CLOUD = dataclasses.replace(
    CLOUDS["public"],
    vm_dns_suffix="cloudapp.test",
    storage_suffix="core.test",
    vault_suffix="vault.test",
)
NAMES = Names.compute(
    service="clouddp1", fqdn="dp.eu.contoso.test", region="westeurope", cloud=CLOUD
)
EMPTY = "nobody-else TXT x"


def nobodys(_: Taken) -> bool:
    return False


@pytest.fixture
def look(bind: Callable[..., Bind]) -> Callable[..., Found]:
    """Looks the names up in a world with these records."""

    def look(contoso: str = EMPTY, azure: str = EMPTY) -> Found:
        server = bind(
            zones={
                "contoso.test": contoso,
                "cloudapp.test": azure,
                "blob.core.test": azure,
                "vault.test": azure,
            }
        )
        return look_up(NAMES, CLOUD, Resolver([server.server]))

    return look


def problems(found: Found, is_ours: Callable[[Taken], bool] = nobodys) -> list[str]:
    return refusals(found, is_ours)[0]


def test_free_names_are_no_problem_and_nobody_is_asked(look: Callable[..., Found]) -> None:
    found = look()
    assert found == Found((), ())
    assert refusals(found, lambda taken: pytest.fail(f"asked for {taken}")) == ([], [])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("dp.eu A 203.0.113.7", "it has the address 203.0.113.7"),
        ("dp.eu AAAA 2001:db8::7", "it has the address 2001:db8::7"),
        ("dp.eu CNAME www", r"it is an alias \(CNAME\) of www.contoso.test"),
        ("dp.eu CNAME elsewhere.fabrikam.test.", "alias .* of elsewhere.fabrikam.test"),
        ("dp.eu NS ns.fabrikam.test.", "a zone of its own, delegated to ns.fabrikam.test"),
    ],
)
def test_a_service_name_in_use_is_refused_with_what_was_found(
    look: Callable[..., Found], record: str, words: str
) -> None:
    (problem,) = problems(look(contoso=f"{record}\nwww A 203.0.113.9"))
    assert problem.startswith("serviceFqdn dp.eu.contoso.test is in use already: ")
    assert re.search(words, problem)
    assert problem.endswith("Remove that record, or choose another serviceFqdn.")


def test_an_alias_to_the_distribution_point_itself_is_fine(look: Callable[..., Found]) -> None:
    assert look(contoso=f"dp.eu CNAME middle\nmiddle CNAME {NAMES.site_fqdn}.").taken == ()


def test_an_answer_for_every_name_is_no_record_of_that_name(look: Callable[..., Found]) -> None:
    found = look(contoso="*.eu A 203.0.113.7")
    refused, warnings = refusals(found, nobodys)
    assert refused == []
    assert "answers for names that nobody has" in warnings[0]


def test_a_wildcard_of_ipv6_addresses_is_no_record_of_that_name_either(
    look: Callable[..., Found],
) -> None:
    assert problems(look(contoso="*.eu AAAA 2001:db8::7")) == []


def test_a_server_that_only_knows_whom_else_to_ask_makes_no_name_taken(
    bind: Callable[..., Bind],
) -> None:
    delegations = "cloudapp NS a.gtld.test.\nblob.core NS a.gtld.test.\nvault NS a.gtld.test."
    server = bind(zones={"test": delegations, "contoso.test": EMPTY})
    refused, warnings = refusals(look_up(NAMES, CLOUD, Resolver([server.server])), nobodys)
    assert refused == []
    assert len(warnings) == 3
    assert all("only knows whom else to ask" in warning for warning in warnings)


def test_a_record_beside_a_wildcard_is_still_one(look: Callable[..., Found]) -> None:
    assert len(problems(look(contoso="*.eu A 203.0.113.7\ndp.eu A 203.0.113.8"))) == 1


@pytest.mark.parametrize(
    ("record", "holder", "chosen"),
    [
        (f"{NAMES.dns_label}.westeurope A 203.0.113.7", Holder.ADDRESS, NAMES.dns_label),
        (f"{NAMES.storage_account} CNAME store.fabrikam.test.", Holder.STORAGE, None),
        (f"{NAMES.key_vault} A 203.0.113.7", Holder.VAULT, None),
    ],
)
def test_a_name_of_azures_that_is_taken_says_which_setting_changes_it(
    bind: Callable[..., Bind], record: str, holder: Holder, chosen: str | None
) -> None:
    suffix = {
        Holder.ADDRESS: "cloudapp.test",
        Holder.STORAGE: "blob.core.test",
        Holder.VAULT: "vault.test",
    }
    zones = {"contoso.test": EMPTY} | dict.fromkeys(suffix.values(), EMPTY)
    server = bind(zones=zones | {suffix[holder]: record})
    found = look_up(NAMES, CLOUD, Resolver([server.server]))
    (problem,) = problems(found)
    assert problem.startswith(
        f"{holder} {chosen or NAMES.storage_account} is taken by somebody else ("
    )
    assert problem.endswith(f"Set {holder} to another name.")
    assert problems(found, lambda taken: taken.holder is holder) == []


def test_what_leads_to_us_is_told_by_the_caller(look: Callable[..., Found]) -> None:
    found = look(contoso="dp.eu CNAME dp.cloudapp.azure.cn.")
    asked: list[Taken] = []

    def is_ours(taken: Taken) -> bool:
        asked.append(taken)
        return "dp.cloudapp.azure.cn" in taken.leads_to

    assert problems(found, is_ours) == []
    assert [taken.holder for taken in asked] == [Holder.SERVICE]


def test_a_look_up_that_fails_is_a_warning_and_takes_a_bounded_time() -> None:
    resolver = Resolver([f"{ADDRESS}:{free_port()}"], seconds=0.5)
    began = time.monotonic()
    found = look_up_each([(NAMES, CLOUD, resolver)] * 8)
    assert time.monotonic() - began < 20
    refused, warnings = refusals(found[0], nobodys)
    assert (refused, len(warnings)) == ([], 4)
    assert all(w.endswith("Whether that name is free is not known.") for w in warnings)


@pytest.mark.parametrize(
    ("record", "problem", "warning"),
    [
        ("dp.eu A 203.0.113.7", "it has the address 203.0.113.7", ""),
        ("dp.eu AAAA 2001:db8::7", "it has the address 2001:db8::7", ""),
        ("dp.eu CNAME www\nwww A 203.0.113.9", "alias (CNAME) of www.contoso.test", ""),
        (f"dp.eu CNAME {NAMES.site_fqdn}.", "", ""),
        (EMPTY, "", "Whether that name is free is not known."),
    ],
)
def test_where_foreign_servers_cannot_be_asked_what_the_resolver_knows_counts(
    bind: Callable[..., Bind], record: str, problem: str, warning: str
) -> None:
    contoso = bind(zones={"contoso.test": record})
    azure = bind(zones=dict.fromkeys(("cloudapp.test", "blob.core.test", "vault.test"), EMPTY))
    places = dict.fromkeys(azure.zones, azure) | {"contoso.test": contoso}
    cache = bind(forwards=places).server
    resolver = Resolver([cache], authoritative_port=free_port(), seconds=1)
    refused, warnings = refusals(look_up(NAMES, CLOUD, resolver), nobodys)
    assert (len(refused), len(warnings)) == (bool(problem), bool(warning))
    assert problem in "".join(refused)
    assert warning in "".join(warnings)


def test_a_service_name_in_the_azure_domain_is_the_label_alone(bind: Callable[..., Bind]) -> None:
    zones = {"westeurope.cloudapp.azure.com": EMPTY, "blob.core.test": EMPTY, "vault.test": EMPTY}
    server = bind(zones=zones)
    cloud = dataclasses.replace(CLOUD, vm_dns_suffix="cloudapp.azure.com")
    names = Names.compute(
        service="clouddp1",
        fqdn="dp1.westeurope.cloudapp.azure.com",
        region="westeurope",
        cloud=cloud,
    )
    assert names.fqdn == names.site_fqdn
    assert look_up(names, cloud, Resolver([server.server])) == Found((), ())
