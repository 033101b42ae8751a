"""Names that would change by default are refused where the service would be lost with them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from components.renaming import renamed
from tests.unit import mocks
from tests.unit.certificates import PASSWORD, make_pfx
from tests.unit.stack import loaded, loaded_all
from tests.unit.test_program import PROGRAM, settings

CDP = "clouddp:index:CloudDistributionPoint"
CDP1, CDP2 = "cdp1.contoso.com", "cdp2.contoso.com"
SECOND = {"certificate": {"pfxFile": "cdp2.pfx", "password": PASSWORD}}


def problems(deployed: dict[str, str], **changed: Any) -> list[str]:
    return renamed([loaded(**changed)], deployed)


@pytest.mark.parametrize("deployed", [{}, {"cdp1": CDP1}, {"other": CDP1}])
def test_a_first_deployment_and_an_unchanged_name_say_nothing(deployed: dict[str, str]) -> None:
    assert problems(deployed) == []


def test_a_certificate_for_another_name_is_refused_with_how_to_keep_the_service() -> None:
    assert problems({"cdp1": CDP1}, **SECOND) == [
        (
            f'serviceFqdn is not given and would be "{CDP2}", as the certificate says, but the '
            f'stack serves "{CDP1}": use a certificate for that name, or, if the name is to '
            f'change, set serviceFqdn to "{CDP2}" and serviceName to "cdp1", which keeps the '
            "service and its content."
        )
    ]


def test_it_is_refused_with_a_service_name_too_since_clients_use_the_fqdn() -> None:
    (sentence,) = problems({"cdp1": CDP1}, **SECOND, serviceName="cdp1")
    assert f'stack serves "{CDP1}"' in sentence


def test_a_fqdn_that_is_set_is_refused_where_the_service_name_would_follow() -> None:
    assert problems({"cdp1": CDP1}, **SECOND, serviceFqdn=CDP2) == [
        (
            f'serviceName is not given and would be "cdp2", but the service of "{CDP1}" is '
            '"cdp1": set serviceName to "cdp1", which keeps it and its content, or to "cdp2", '
            "which makes a new one and deletes the old."
        )
    ]


@pytest.mark.parametrize("name", ["cdp1", "cdp2"])
def test_what_is_set_is_meant(name: str) -> None:
    assert problems({"cdp1": CDP1}, **SECOND, serviceFqdn=CDP2, serviceName=name) == []


def test_an_entry_more_takes_nothing_away_and_one_in_place_of_another_does() -> None:
    first = {"certificate": {"pfxFile": "cdp1.pfx", "password": PASSWORD}}
    both = loaded_all(certificate=None, distributionPoints=[first, SECOND])
    assert renamed(both, {"cdp1": CDP1}) == []
    (sentence,) = renamed(both, {"cdp1": CDP1, "old": "old.contoso.com"})
    assert sentence.startswith("cdp2: serviceFqdn is not given")
    assert '"old.contoso.com"' in sentence


def up(recorder: mocks.Recorder, config: dict[str, str]) -> mocks.Recorder:
    return mocks.run(
        lambda: runpy.run_path(str(PROGRAM)) and None, recorder=recorder, config=config
    )


OUTPUTS = {"serviceName": "clouddp1", "serviceFqdn": "clouddp1.contoso.com"}


@pytest.mark.parametrize("outputs", [OUTPUTS, {"distributionPoints": {"clouddp1": OUTPUTS}}])
def test_the_program_stops_before_anything_is_registered(
    tmp_path: Path, outputs: dict[str, Any]
) -> None:
    file = tmp_path / "other.pfx"
    file.write_bytes(make_pfx("other.contoso.com", password="correct horse"))
    known = {"pulumi:pulumi:readStackOutputs": {"outputs": outputs}}
    recorder = mocks.Recorder(answers=known)
    with pytest.raises(Exception, match=r'stack serves "clouddp1\.contoso\.com"'):
        up(recorder, settings(file))
    assert not any("clouddp:" in each.type for each in recorder.resources)
    file.write_bytes(make_pfx("clouddp1.contoso.com", password="correct horse"))
    assert up(mocks.Recorder(answers=known), settings(file)).one(CDP)
