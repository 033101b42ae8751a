"""The stand-in for Azure as a process of its own, and under the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.home import STACK
from sandbox.provider import tool
from sandbox.provider.cloud import Cloud

from .program import LIMIT_SECONDS, SandboxedProgram

PLUGIN = Path(tool.__file__).parent / "pulumi-resource-azure-native"
SET = "compute:VirtualMachineScaleSet"


def environment(**variables: str) -> dict[str, str]:
    kept = {key: word for key, word in os.environ.items() if key != "CLOUDDP_SANDBOX_DB"}
    return {**kept, "CLOUDDP_SANDBOX_PYTHON": sys.executable, **variables}


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(process: int) -> bool:
    end = time.monotonic() + 10
    while alive(process) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(process)


def azure_of(sandbox: SandboxedProgram) -> Cloud:
    return Cloud(Path(sandbox.environment()["CLOUDDP_SANDBOX_DB"]))


def fault(sandbox: SandboxedProgram, operation: str, error: str | None, latency: int = 0) -> None:
    with azure_of(sandbox).change() as database:
        database.execute(
            "INSERT INTO faults VALUES (NULL, ?, ?, ?, ?, 1)", (SET, operation, error, latency)
        )


def wait_for_only_the_scale_set(azure: Cloud) -> None:
    """Until the delayed scale set is all that is under way.

    What else was made a moment before the kill, and is not in the stack's state yet, the next run
    would refuse to create again, as the real provider does.
    """
    end = time.monotonic() + LIMIT_SECONDS
    seen, since = -1, time.monotonic()
    while time.monotonic() < end:
        ((revision,),) = azure.rows("SELECT MAX(revision) FROM resources")
        if revision != seen:
            seen, since = revision, time.monotonic()
        delayed = azure.rows("SELECT 1 FROM faults WHERE times = 0")
        if delayed and time.monotonic() - since > 2:
            return
        time.sleep(0.1)


def test_without_a_database_it_does_not_start() -> None:
    done = subprocess.run(
        [PLUGIN], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "CLOUDDP_SANDBOX_DB does not name its database" in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_it_ends_with_whoever_started_it_even_when_killed(tmp_path: Path) -> None:
    # The shell stands for the engine: it starts the plug-in and waits for it.
    shell = subprocess.Popen(
        ["sh", "-c", f"'{PLUGIN}' & echo $!; wait"],
        env=environment(CLOUDDP_SANDBOX_DB=str(tmp_path / "azure.db")),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout
    plugin, port = int(shell.stdout.readline()), int(shell.stdout.readline())
    assert port > 0
    assert alive(plugin)
    shell.kill()
    shell.wait()
    assert gone(plugin)


def test_each_command_says_that_this_is_the_sandbox(sandbox: SandboxedProgram) -> None:
    told = "This is the sandbox: nothing reaches Azure"
    assert told in sandbox.pulumi("preview").stdout
    assert not azure_of(sandbox).all("storage:StorageAccount"), "a preview makes nothing"


def test_drift_is_seen_by_a_refresh_and_put_right(sandbox: SandboxedProgram) -> None:
    sandbox.up()
    azure = azure_of(sandbox)
    ((account, before),) = azure.all("storage:StorageAccount")
    tool.change(azure, account, "minimumTlsVersion", "TLS1_0")
    ((alias, _),) = azure.all("dns:RecordSet")
    azure.delete(alias)
    assert sandbox.changes() == {}, "nobody has looked yet"
    sandbox.refresh()
    assert sandbox.changes() == {"update": 1, "create": 1}
    sandbox.up()
    assert azure.all("storage:StorageAccount") == [(account, before)]
    assert azure.get(alias)
    assert sandbox.changes() == {}


def test_what_azure_refuses_is_shown_and_the_next_run_goes_on(sandbox: SandboxedProgram) -> None:
    fault(sandbox, "create", "The region is out of machines.")
    failed = sandbox.up(check=False)
    assert failed.returncode != 0
    assert "The region is out of machines." in failed.stdout
    assert not azure_of(sandbox).all(SET)
    sandbox.up()
    assert azure_of(sandbox).all(SET)
    assert sandbox.changes() == {}


def test_a_killed_engine_leaves_an_azure_that_the_next_one_finds(
    sandbox: SandboxedProgram,
) -> None:
    fault(sandbox, "create", None, latency=60_000)
    engine = subprocess.Popen(
        [sandbox.sandbox.engine / "pulumi", "up", "--yes", "--skip-preview", "--stack", STACK],
        cwd=sandbox.root,
        env=sandbox.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    azure = azure_of(sandbox)
    wait_for_only_the_scale_set(azure)
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    made = {row[0] for row in azure.rows("SELECT id FROM resources")}
    assert made
    assert not azure.all(SET)
    sandbox.pulumi("cancel", "--yes")
    sandbox.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    sandbox.up()
    assert azure.all(SET)
    assert made <= {row[0] for row in azure.rows("SELECT id FROM resources")}
    assert sandbox.changes() == {}


def test_a_secret_is_plain_in_azure_only(sandbox: SandboxedProgram) -> None:
    sandbox.up()
    ((_, body),) = [
        (each, body)
        for each, body in azure_of(sandbox).all("keyvault:Secret")
        if each.endswith("/settings")
    ]
    value = body["properties"]["value"]
    assert json.loads(value)["version"] == 1
    exported = sandbox.pulumi("stack", "export").stdout
    assert json.dumps(value)[1:-1] not in exported
