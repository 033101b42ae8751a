"""The alias as a resource on the real engine: previewed, drifting, repaired, removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.dns.updates import Cname, Zone
from tests.dns.program import Program, make_program
from tests.dns.servers import KEY, KEY_NAME, OTHER_KEY, Bind
from tests.dns.test_dynamic_update import ELSEWHERE, OURS, by_hand, zone_at

PROGRAM = """
import json, pathlib, pulumi
from components.dns.dynamic_cname import DynamicCname
settings = json.loads(pathlib.Path("settings.json").read_text())
record = DynamicCname("alias", **settings)
pulumi.export("target", record.target)
"""


@dataclass
class Stack:
    """A stack with the alias alone."""

    program: Program
    zone: Zone

    def declare(self, record: Cname, **changes: str) -> None:
        """Writes down what the program is to declare."""
        zone = {
            "server": self.zone.server,
            "zone": self.zone.name,
            "key_name": self.zone.key_name,
            "key_algorithm": self.zone.key_algorithm,
            "key_secret": self.zone.key_secret,
        }
        settings = {**vars(record), **zone, **changes}
        (self.program.folder / "settings.json").write_text(json.dumps(settings))

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Runs a command. Returns what it printed, which never has the key."""
        said = self.program.pulumi(*arguments, fails=fails)
        assert self.zone.key_secret not in said
        return said


@pytest.fixture
def server(bind: Callable[..., Bind]) -> Bind:
    return bind(zones={"contoso.test": "www A 203.0.113.5"})


@pytest.fixture
def stack(server: Bind, tmp_path: Path) -> Stack:
    return Stack(make_program(tmp_path, PROGRAM), zone_at(server))


def test_the_life_of_an_alias(stack: Stack, server: Bind) -> None:
    zone = stack.zone
    stack.declare(OURS)
    assert "+ 2 to create" in stack.pulumi("preview")
    assert zone.read(OURS.fqdn) is None
    stack.pulumi("up", "--yes", "--skip-preview")
    assert zone.read(OURS.fqdn) == OURS
    state = stack.pulumi("stack", "export")
    assert KEY not in state
    assert KEY_NAME in state
    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    # Somebody turns it: `refresh` sees that, and `up` puts it right.
    by_hand(server, ELSEWHERE)
    drift = stack.pulumi("refresh", "--yes", "--skip-preview", "--diff")
    assert re.search(r'target.*"dp1\.region.*" => "elsewhere\.fabrikam\.test"', drift), drift
    stack.pulumi("up", "--yes", "--skip-preview")
    assert zone.read(OURS.fqdn) == OURS

    # Somebody removes it.
    by_hand(server, None)
    assert "- 1 deleted" in stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.pulumi("up", "--yes", "--skip-preview")
    assert zone.read(OURS.fqdn) == OURS

    stack.declare(replace(OURS, ttl=60), key_name="other-key", key_secret=OTHER_KEY)
    change = stack.pulumi("preview", "--diff")
    assert "[secret]" in change
    assert OTHER_KEY not in change
    stack.declare(replace(OURS, ttl=60))
    assert "~ 1 updated" in stack.pulumi("up", "--yes", "--skip-preview")
    assert zone.read(OURS.fqdn) == replace(OURS, ttl=60)
    moved = replace(OURS, fqdn="dp2.contoso.test")
    stack.declare(moved)
    assert "+-1 replaced" in stack.pulumi("up", "--yes", "--skip-preview")
    assert (zone.read(OURS.fqdn), zone.read(moved.fqdn)) == (None, moved)

    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert zone.read(moved.fqdn) is None


def test_a_foreign_record_stops_up_with_one_sentence(stack: Stack) -> None:
    wanted = replace(OURS, fqdn="www.contoso.test")
    stack.declare(wanted)
    said = stack.pulumi("up", "--yes", "--skip-preview", fails=True)
    errors = {found for found in re.findall("error: (.*)", said) if "in use" in found}
    expected = (
        f"www.contoso.test is in use already in contoso.test on {stack.zone.server}: it has the A "
        "record 203.0.113.5. Remove that record, or choose another serviceFqdn."
    )
    assert errors == {expected}
    assert stack.zone.read(wanted.fqdn) is None


def test_destroy_leaves_what_somebody_else_put_there(stack: Stack, server: Bind) -> None:
    stack.declare(OURS)
    stack.pulumi("up", "--yes", "--skip-preview")
    by_hand(server, ELSEWHERE)
    said = stack.pulumi("destroy", "--yes", "--skip-preview")
    assert "no longer leads to dp1.region.cloudapp.test" in said
    assert stack.zone.read(OURS.fqdn) == ELSEWHERE
