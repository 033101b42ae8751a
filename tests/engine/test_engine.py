from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import __main__ as command_line
from sandbox import cache, certificates, commands, environment, home, pulumi_cli, requirements
from sandbox.home import Sandbox
from sandbox.terminal import Problem
from tests.engine.program import SandboxedProgram

TINY = """
import os, time
import pulumi
pulumi.export("root", pulumi.get_root_directory())
pulumi.export("secret", pulumi.Config("clouddp").get_secret("description"))
if os.environ.get("TRIAL") == "refuse":
    raise pulumi.RunError("one sentence\\nanother sentence")
if os.environ.get("TRIAL") == "wait":
    open("waiting", "w").write(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def tiny(sandbox: SandboxedProgram) -> SandboxedProgram:
    """Return a sandbox whose program is a few lines, for what has to do with the engine alone."""
    (sandbox.root / "__main__.py").write_text(TINY)
    return sandbox


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clouddp"


def script(folder: Path, name: str, text: str) -> Path:
    """Write an executable shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# The engine and its language host


def test_a_program_runs_and_knows_its_root_folder(tiny: SandboxedProgram) -> None:
    tiny.up()
    assert tiny.outputs()["root"] == str(tiny.root)


def test_a_secret_stays_encrypted_in_the_state_and_hidden_on_the_screen(
    tiny: SandboxedProgram,
) -> None:
    tiny.config("description", "not to be seen", secret=True)
    shown = tiny.up().stdout
    kept = json.dumps(tiny.export()) + (tiny.root / "Pulumi.dev.yaml").read_text()
    assert "[secret]" in shown
    assert "not to be seen" not in shown + kept


def test_a_refusal_shows_its_sentences_without_a_traceback(tiny: SandboxedProgram) -> None:
    done = tiny.pulumi("preview", check=False, TRIAL="refuse")
    assert done.returncode != 0
    assert "one sentence\n    another sentence" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_resource_that_fails_shows_its_own_error_and_no_traceback(
    tiny: SandboxedProgram,
) -> None:
    (tiny.root / "__main__.py").write_text(
        textwrap.dedent("""
            import pulumi
            from pulumi_azure_native import dns
            options = dict(zone_name="contoso.example", location="global")
            zone = dns.Zone("zone", resource_group_name="missing", **options)
            pulumi.export("zone", zone.id)
        """)
    )
    done = tiny.up(check=False)
    assert done.returncode != 0
    assert "ResourceGroupNotFound" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_killed_engine_takes_its_language_host_and_program_along(tiny: SandboxedProgram) -> None:
    process = subprocess.Popen(
        [tiny.sandbox.engine / "pulumi", "preview", "--stack", "dev", "--non-interactive"],
        cwd=tiny.root,
        env={**tiny.environment(), "TRIAL": "wait"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    marker = tiny.root / "waiting"
    try:
        eventually(lambda: marker.exists() and marker.read_text() != "")
        assert running(tiny.root)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    eventually(lambda: not running(tiny.root))


def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def running(root: Path) -> list[str]:
    """Return the processes whose environment belongs to the sandbox in that folder."""
    sign = f"CLOUDDP_SANDBOX_DB={root}/".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if sign in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def test_a_folder_that_is_no_virtual_environment_is_named(tiny: SandboxedProgram) -> None:
    project = tiny.root / "Pulumi.yaml"
    project.write_text(project.read_text().replace("virtualenv: .venv", "virtualenv: elsewhere"))
    (tiny.root / "elsewhere").mkdir()
    (tiny.root / "elsewhere" / "something").touch()
    done = tiny.pulumi("preview", check=False)
    assert done.returncode != 0
    assert f"{tiny.root}/elsewhere" in done.stdout + done.stderr


def test_about_tells_the_interpreter_of_the_virtual_environment(tiny: SandboxedProgram) -> None:
    shown = json.loads(tiny.pulumi("about", "--json").stdout)
    assert shown["runtime"]["executable"].startswith(str(tiny.root / ".venv"))


# What keeps the sandbox and Azure apart


def test_nothing_of_the_users_own_pulumi_or_azure_gets_into_the_sandbox(
    tiny: SandboxedProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "real")
    monkeypatch.setenv("AZURE_CLIENT_ID", "real")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "real")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of a real stack")
    seen = tiny.environment()
    assert not {"ARM_CLIENT_SECRET", "AZURE_CLIENT_ID", "PULUMI_ACCESS_TOKEN"} & seen.keys()
    assert seen["PULUMI_CONFIG_PASSPHRASE"] == "clouddp-dev"
    assert "unset ARM_CLIENT_SECRET" in tiny.sandbox.exports()


def test_a_provider_on_the_path_is_never_used(tiny: SandboxedProgram, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    script(tmp_path / "bin", "pulumi-resource-azure-native", f"touch {touched}; exit 1")
    (tiny.root / "__main__.py").write_text(
        textwrap.dedent("""
            from pulumi_azure_native import resources
            resources.ResourceGroup("group", location="westeurope", resource_group_name="group")
        """)
    )
    path = f"{tmp_path / 'bin'}{os.pathsep}{tiny.environment()['PATH']}"
    shown = tiny.pulumi("preview", PATH=path).stdout
    assert "This is the sandbox" in shown
    assert not touched.exists()


def test_the_printed_exports_lead_plain_commands_to_the_sandbox(tiny: SandboxedProgram) -> None:
    tiny.up()
    line = (
        f"{tiny.sandbox.exports()}\npulumi stack output root --stack dev\n"
        "python -c 'import dns, pulumi_azure_native'"
    )
    done = subprocess.run(
        ["/bin/sh", "-euc", line],
        cwd=tiny.root,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tiny.root), "ARM_CLIENT_ID": "real"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tiny.root)


# Errors of one sentence


def test_secrets_of_another_passphrase_are_explained(
    tiny: SandboxedProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny.config("description", "secret", secret=True)
    stack = tiny.root / "Pulumi.dev.yaml"
    salt = "v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    lines = stack.read_text().splitlines()
    others = [line for line in lines if not line.startswith("encryptionsalt:")]
    stack.write_text("\n".join([f"encryptionsalt: {salt}", *others]))
    with pytest.raises(Problem, match=r"public passphrase, clouddp-dev: restore Pulumi\.dev\.yaml"):
        tiny.sandbox.watch_pulumi("preview", "--stack", "dev", "--non-interactive")
    assert "incorrect passphrase" in capfd.readouterr().err


def test_a_locked_stack_is_explained(tiny: SandboxedProgram) -> None:
    tiny.up()
    lock = tiny.sandbox.state / "backend/.pulumi/locks/organization/clouddp/dev/another.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = {"pid": 1, "username": "a", "hostname": "b", "timestamp": "2026-01-02T03:04:05Z"}
    lock.write_text(json.dumps(owner))
    with pytest.raises(Problem, match=r"pulumi cancel --yes --stack dev"):
        tiny.sandbox.watch_pulumi("destroy", "--yes", "--stack", "dev", "--non-interactive")


def test_without_pulumi_and_go_one_sentence_says_what_to_install(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(tmp_path, monkeypatch)
    with pytest.raises(Problem) as caught:
        pulumi_cli.ensure(Path(sys.executable))
    assert str(caught.value).startswith("There is no Pulumi CLI and no Go on the PATH: install Go")
    assert "\n" not in str(caught.value)
    assert not list(empty_cache.glob("*/.complete"))


def test_a_go_that_is_too_old_is_named_with_its_version(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = script(offline(tmp_path, monkeypatch), "go", "echo go1.19.8")
    with pytest.raises(Problem, match=rf"{go} is too old \(it is go1\.19\.8\): install Go 1\.25"):
        pulumi_cli.ensure(Path(sys.executable))


def test_a_failed_build_shows_the_end_of_its_log_and_is_tried_again(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'if [ "$1" = env ]; then echo go1.99; else echo "no space left"; exit 1; fi'
    script(offline(tmp_path, monkeypatch), "go", text)
    for _ in range(2):
        with pytest.raises(Problem, match=r"(?s)pulumi could not be built.*\.log.*no space left"):
            pulumi_cli.ensure(Path(sys.executable))


def test_a_pulumi_that_is_too_old_is_passed_over(
    empty_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = offline(tmp_path, monkeypatch)
    script(folder, "pulumi", "echo v3.100.0")
    script(folder, "pulumi-language-python", "")
    with pytest.raises(Problem):
        pulumi_cli.ensure(Path(sys.executable))
    assert "is v3.100.0, older than 3.255.0" in capsys.readouterr().err


def test_an_installed_pulumi_with_its_language_host_is_used(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = offline(tmp_path, monkeypatch)
    script(folder, "pulumi", "echo v3.272.0")
    script(folder, "pulumi-language-python", "")
    assert pulumi_cli.ensure(Path(sys.executable)) == folder


def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a machine without internet and with an empty PATH; return the folder on it."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(pulumi_cli, "PROBE", "raise SystemExit(1)")
    return folder


def test_an_installer_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    command = f"sleep 600 & echo $! > {tmp_path / 'pid'}; wait"
    started = time.monotonic()
    assert not pulumi_cli._ends_well(["/bin/sh", "-c", command], 5)
    assert time.monotonic() - started < 60
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "cmdline"
    eventually(lambda: not child.exists() or not child.read_bytes())


# The virtual environment


def test_a_half_made_folder_of_the_cache_is_made_again(empty_cache: Path) -> None:
    def interrupted(target: Path) -> None:
        (target / "left over").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.provide("thing", interrupted)
    made = cache.provide("thing", lambda target: (target / "whole").touch())
    assert (made / "whole").exists()
    assert not (made / "left over").exists()


def test_the_sdk_is_compiled_once_though_the_shell_keeps_no_bytecode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = []

    def look() -> None:
        kept.append("PYTHONDONTWRITEBYTECODE" not in os.environ)

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(environment, "ensure", lambda _: Path(sys.prefix) / "bin/python")
    monkeypatch.setitem(commands.COMMANDS, "look", look)
    command_line.main(["look"])
    assert kept == [True]


def test_what_the_cache_has_is_not_made_twice(empty_cache: Path) -> None:
    made = []
    for _ in range(2):
        cache.provide("thing", made.append)
    assert made == [empty_cache / "thing"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for a checkout, whose packages need no installing."""
    monkeypatch.setattr(cache, "provide", lambda _name, _make: Path(sys.prefix))
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def test_a_link_to_the_virtual_environment_is_laid_and_kept(checkout: Path) -> None:
    for _ in range(2):
        environment.ensure(checkout)
    assert (checkout / ".venv").readlink() == Path(sys.prefix)


def test_a_link_to_an_earlier_environment_is_laid_anew(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(Path(sys.prefix).parent / "venv-of-yesterday")
    environment.ensure(checkout)
    assert (checkout / ".venv").readlink() == Path(sys.prefix)


def test_a_virtual_environment_of_the_users_own_is_left_alone_if_it_has_the_packages(
    checkout: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.symlink_to(sys.prefix)
    (checkout / ".venv").symlink_to(own)
    environment.ensure(checkout)
    assert (checkout / ".venv").readlink() == own


def test_a_virtual_environment_of_the_users_own_that_lacks_a_package_is_refused(
    checkout: Path,
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    with pytest.raises(Problem, match=r"made yourself, lacks pulumi \S+: run `\.venv/bin/python"):
        environment.ensure(checkout)


def test_a_venv_folder_without_an_interpreter_is_refused(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    with pytest.raises(Problem, match=r"is no virtual environment \(bin/python is missing\)"):
        environment.ensure(checkout)


def test_packages_that_cannot_be_installed_show_the_end_of_the_log(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "requirements.txt"
    broken.write_text("clouddp-no-such-package==1 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(requirements, "RUNTIME", broken)
    monkeypatch.setattr(requirements, "DEVELOPMENT", broken)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(Problem, match=r"(?s)could not be installed.*clouddp-no-such-package"):
        environment.ensure(tmp_path)


def test_an_old_python_is_told_which_one_is_needed() -> None:
    source = (requirements.ROOT / "sandbox/__main__.py").read_text()
    trial = (
        "import sys; sys.version_info = (3, 9, 2); sys.argv = ['sandbox', 'up'];"
        f"exec({source!r}, {{'__name__': '__main__'}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", trial], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or later is needed, and ")
    assert len(done.stderr.splitlines()) == 1


# The commands


def test_every_folder_of_tests_is_a_tier_that_is_run() -> None:
    folders = {path.parent.name for path in (requirements.ROOT / "tests").glob("*/test_*.py")}
    assert folders <= commands.TIERS.keys()


def test_down_with_nothing_up_needs_no_engine_and_succeeds(tmp_path: Path) -> None:
    assert not home.has_resources(tmp_path)


def test_down_knows_whether_anything_is_up(tiny: SandboxedProgram) -> None:
    assert not home.has_resources(tiny.root)
    tiny.up()
    assert home.has_resources(tiny.root)
    tiny.destroy()
    assert not home.has_resources(tiny.root)


def test_a_sandbox_forgets_what_was_deleted_once_nothing_is_left(tiny: SandboxedProgram) -> None:
    database = tiny.sandbox.state / home.DATABASE
    database.touch()
    tiny.up()
    tiny.sandbox.forget_deleted()
    assert database.exists()
    tiny.destroy()
    tiny.sandbox.forget_deleted()
    assert not list(tiny.sandbox.state.glob("azure.db*"))


def test_a_changed_provider_is_installed_again(
    tiny: SandboxedProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "provider"
    shutil.copytree(home.PROVIDER, changed)
    (changed / "more.txt").write_text("new")
    monkeypatch.setattr(home, "PROVIDER", changed)
    tiny.sandbox.prepare()
    assert list((tiny.sandbox.state / "home/plugins").glob("*/more.txt"))


def test_the_dev_certificate_is_kept_from_run_to_run(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    certificates.ensure(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert before.keys() == {"clouddp1.pfx", "ca.pem"}


def test_the_dev_certificate_is_renewed_before_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "LIFE", certificates.SPARE / 2)
        certificates.ensure(tmp_path)
    before = (tmp_path / "clouddp1.pfx").read_bytes()
    certificates.ensure(tmp_path)
    assert (tmp_path / "clouddp1.pfx").read_bytes() != before


def test_a_sandbox_lies_wholly_in_its_own_folder(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, tmp_path / "engine", Path(sys.executable))
    for name in ("PULUMI_HOME", "PULUMI_BACKEND_URL", "CLOUDDP_SANDBOX_DB"):
        assert f"{tmp_path}/.sandbox/" in sandbox.variables()[name]
