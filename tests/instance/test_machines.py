from __future__ import annotations

import base64
import dataclasses
import gzip
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from sandbox.dataplane import machines
from sandbox.dataplane.desired import Health, ScaleSet
from sandbox.dataplane.machines import Machines
from sandbox.dataplane.network import Addresses, claim
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.world import until

ENDPOINTS = {"connect": {}}
# Stands for the payload: says when it began and ended, and on which instance.
SCRIPT = """\
number="${CLOUDDP_PREFIX##*/}"
echo "begin $number %s" >> ../journal
sleep 0.3
echo "end $number %s" >> ../journal
"""


def packed(script: str) -> str:
    return base64.b64encode(gzip.compress(f"cd $CLOUDDP_PREFIX\n{script}".encode())).decode()


def script(version: str) -> str:
    return packed(SCRIPT % (version, version))


WANTED = ScaleSet(
    id="/subscriptions/0/set",
    capacity=2,
    script=script("one"),
    health=None,
    batch_percent=20,
    principals={},
    pools=frozenset(),
)


class Set:
    """The instances of one scale set, and what they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "instances"
        self.results: dict[int, str] = {}
        (folder / "state").mkdir()
        (folder / "logs").mkdir()
        self.logs = folder / "logs"
        self.machines = Machines(
            self.folder,
            self.logs,
            addresses=Addresses(claim(folder / "state")),
            issuer=TokenIssuer(),
            endpoints=ENDPOINTS,
            done=self._done,
        )
        self._operations = 0

    def become(self, wanted: ScaleSet | None) -> str:
        """Have the set change; return what went wrong, empty for nothing."""
        self._operations += 1
        number = self._operations
        self.machines.apply(wanted, [number])
        until("the operation is done", lambda: number in self.results)
        return self.results[number]

    def journal(self) -> list[str]:
        """What was run since the last call."""
        file = self.folder / "journal"
        lines = file.read_text().splitlines()
        file.write_text("")
        return lines

    def _done(self, operations: Sequence[int], problem: str) -> None:
        self.results |= dict.fromkeys(operations, problem)


@pytest.fixture
def make_set(tmp_path: Path) -> Generator[Callable[[], Set]]:
    made: list[Set] = []

    def make() -> Set:
        made.append(Set(tmp_path))
        return made[0]

    yield make
    for each in made:
        each.machines.end()


@pytest.fixture
def instances(make_set: Callable[[], Set]) -> Set:
    return make_set()


def test_new_instances_run_the_script_before_the_operation_is_done(instances: Set) -> None:
    assert instances.become(WANTED) == ""
    assert sorted(instances.journal()) == ["begin 0 one", "begin 1 one", "end 0 one", "end 1 one"]
    assert len(set(instances.machines.addresses)) == 2


def test_a_new_capacity_adds_and_removes_instances_and_touches_no_other(instances: Set) -> None:
    instances.become(WANTED)
    instances.journal()
    before = instances.machines.addresses
    assert instances.become(dataclasses.replace(WANTED, capacity=3)) == ""
    assert instances.journal() == ["begin 2 one", "end 2 one"]
    assert instances.machines.addresses[:2] == before
    assert instances.become(dataclasses.replace(WANTED, capacity=1)) == ""
    assert instances.journal() == []
    assert instances.machines.addresses == before[:1]
    assert not (instances.folder / "1").exists()


def test_a_changed_script_runs_on_one_batch_after_the_other(
    instances: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "PAUSE_SECONDS", 0.0)
    three = dataclasses.replace(WANTED, capacity=3)
    instances.become(three)
    instances.journal()
    assert instances.become(dataclasses.replace(three, script=script("two"))) == ""
    assert instances.journal() == [
        f"{word} {number} two" for number in range(3) for word in ("begin", "end")
    ]


def test_what_does_not_touch_the_instances_runs_nothing(instances: Set) -> None:
    instances.become(WANTED)
    instances.journal()
    assert instances.become(dataclasses.replace(WANTED, pools=frozenset({"/pool"}))) == ""
    assert instances.journal() == []


def test_a_roll_stops_at_an_instance_that_does_not_get_healthy(
    instances: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LEAST_GRACE_SECONDS", 0.5)
    instances.become(WANTED)
    instances.journal()
    # Nobody listens there.
    health = Health(port=9, path="/healthz", grace=0.5)
    problem = instances.become(dataclasses.replace(WANTED, script=script("two"), health=health))
    assert "RollingUpgradePolicyBreach" in problem
    assert "instance 0 is not healthy" in problem
    assert instances.journal() == ["begin 0 two", "end 0 two"]


def test_a_failing_script_fails_the_operation_with_its_last_words(instances: Set) -> None:
    problem = instances.become(
        dataclasses.replace(WANTED, script=packed("echo there is no disk; exit 3"))
    )
    assert "VMExtensionProvisioningError" in problem
    assert "ended with code 3" in problem
    assert problem.endswith("there is no disk")
    assert str(instances.logs) in problem
    assert instances.become(WANTED) == ""
    assert len(instances.journal()) == 4


def test_an_instance_whose_first_installation_failed_counts_as_new(instances: Set) -> None:
    instances.become(dataclasses.replace(WANTED, script=packed("exit 1")))
    # Nobody listens there; of a new instance nobody asks it.
    health = Health(port=9, path="/healthz", grace=0.5)
    assert instances.become(dataclasses.replace(WANTED, health=health)) == ""


def test_a_deleted_set_leaves_no_folder(instances: Set) -> None:
    instances.become(WANTED)
    assert instances.become(None) == ""
    assert instances.machines.addresses == []
    assert [entry.name for entry in instances.folder.iterdir()] == ["journal"]


def test_what_a_killed_sandbox_left_is_not_taken_over(
    make_set: Callable[[], Set], tmp_path: Path
) -> None:
    left = tmp_path / "instances/0/var/lib/clouddp/settings.json"
    left.parent.mkdir(parents=True)
    left.write_text(f"left by {os.getpid()}")
    make_set().become(WANTED)
    assert not left.exists()
