from __future__ import annotations

import base64
import contextlib
import gzip
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import instance
from components.clouds import CLOUDS
from sandbox import packages
from tests.instance.world import CLIENT_ID, PRINCIPAL, World, bearer

ROOT = Path(instance.__file__).parent
ARGUMENTS: dict[str, Any] = {
    "vault_uri": "https://clouddp1abc.vault.azure.net/",
    "settings_secret": "settings",
    "client_id": CLIENT_ID,
    "cloud": CLOUDS["public"],
    "service_port": 443,
}


def script(**changes: Any) -> str:
    return instance.install_script(**(ARGUMENTS | changes))


def unpacked(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed, validate=True)).decode()


def test_the_same_settings_make_the_same_script() -> None:
    assert script() == script()
    other = script(service_port=8443)
    assert other != script()


def test_the_script_is_small_enough_for_the_extension_many_times_over() -> None:
    assert len(script()) < 256 * 1024 // 4


def test_the_script_carries_the_version_of_its_payload_and_each_file_as_it_is() -> None:
    text = unpacked(script())
    assert f"version='{instance.payload_version()}'" in text
    for source in [*ROOT.glob("agent/*.py"), *ROOT.glob("nginx/*"), *ROOT.glob("systemd/*")]:
        assert source.read_text() in text, source.name


def test_a_cloud_of_its_own_changes_the_end_points_only() -> None:
    public = unpacked(script()).splitlines()
    china = unpacked(script(cloud=CLOUDS["china"])).splitlines()
    changed = {line.strip() for line in set(china) ^ set(public)}
    assert {line.split(":")[0].strip('"') for line in changed} == {
        "monitorAudience",
        "resourceManager",
        "vaultAudience",
    }


def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    whole = tmp_path / "install.sh"
    whole.write_text(unpacked(script()))
    for path in (ROOT / "install.sh", whole):
        done = subprocess.run(
            ["shellcheck", "--severity=style", path],
            env=packages.environment("shellcheck"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for source in ROOT.glob("systemd/*"):
        text = source.read_text().replace("@ROOT@", "").replace("@USER@", "www-data")
        # nginx is not installed where the tests run.
        (tmp_path / source.name).write_text(text.replace("ExecStart=nginx ", "ExecStart=env "))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *tmp_path.glob("*.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "clouddp" in line]
    assert not ours


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may use a port below 1024")
def test_the_units_have_the_privileges_that_the_usual_port_takes(world: World) -> None:
    world.port = low_port()
    world.get_ready()
    world.publish("one.txt", b"one")
    assert world.get("/one.txt").text == "one"
    renewed = world.authority.issue(world.fqdn)
    world.put_certificate(renewed)
    world.agent_does(lambda: "The certificate is new" in world.messages(), "a renewal is taken")
    for unit in ("clouddp-nginx", "clouddp-agent"):
        pid = (world.instance.folder / f"run/systemctl/{unit}.main").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
        (bounding,) = (line for line in status.splitlines() if line.startswith("CapBnd:"))
        # CAP_SYS_ADMIN is not among them, so that they really run with what the unit leaves.
        assert not int(bounding.split()[1], 16) & 1 << 21, unit


def low_port() -> int:
    for port in range(600, 1024):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port below 1024 is free")


def test_a_second_run_changes_nothing_and_drops_no_content(world: World) -> None:
    world.get_ready()
    world.publish("kept.txt", b"kept")
    assert world.get("/kept.txt").text == "kept"
    nginx = (world.instance.folder / "run/systemctl/clouddp-nginx.main").read_text()
    world.install()
    world.wait_until_ready()
    assert (world.instance.folder / "run/systemctl/clouddp-nginx.main").read_text() == nginx
    before = len(world.storage.requests())
    assert world.get("/kept.txt").text == "kept"
    asked = [line for line in world.storage.requests()[before:] if "GET" in line]
    assert not asked


def test_a_new_payload_has_to_prove_itself_before_traffic_comes(world: World) -> None:
    world.get_ready()
    world.roles.clear()
    world.install()
    assert world.page("/readyz").status_code == 503
    assert world.page("/healthz").status_code == 503
    world.roles.add(PRINCIPAL)
    world.wait_until_ready()
    assert world.page("/healthz").status_code == 200


def test_the_script_asks_nothing_of_vault_and_storage(world: World) -> None:
    world.vault.delay = world.metadata.delay = 60
    world.relay.refuse = True
    world.install()


def test_a_service_that_does_not_come_up_fails_the_script_and_says_why(world: World) -> None:
    with socket.create_server(("127.0.0.1", world.port)):
        text = unpacked(world.script()).replace("alive_seconds=60", "alive_seconds=3")
        packed = base64.b64encode(gzip.compress(text.encode())).decode()
        done = world.instance.install(packed, world.endpoints())
    assert done.returncode != 0
    assert "nginx did not come up within 3 seconds" in done.stdout + done.stderr
    assert "Address already in use" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_secret_is_for_its_owner_alone(world: World) -> None:
    world.get_ready()
    state = world.instance.folder / "var/lib/clouddp"
    assert state.stat().st_mode & 0o077 == 0
    for path in [*state.rglob("*"), world.instance.folder / "run/clouddp/storage-token"]:
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_mode & 0o007 == 0, path
    assert "a-token-key" not in unpacked(world.script())


def test_updates_install_themselves_and_restarts_are_staggered(world: World) -> None:
    world.install()
    text = (world.instance.folder / "etc/apt/apt.conf.d/52clouddp").read_text()
    assert 'Unattended-Upgrade::Automatic-Reboot "true";' in text
    code = unpacked(world.script())
    begin = code.index("restart_time() {")
    function = code[begin : code.index("\n}\n", begin) + 3]
    times = []
    for number in range(16):
        name = f"clouddp1{number:06d}" if number < 10 else f"clouddp100000{chr(87 + number)}"
        shell = f"hostname() {{ echo {name}; }}\n{function}\nrestart_time"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        times.append(done.stdout)
    assert len(set(times)) == 16
    assert all("01:00" <= each < "05:00" for each in times)


def test_packages_wait_for_cloud_init_and_are_looked_for_anew_each_time(tmp_path: Path) -> None:
    """The lists are those of before cloud-init at first, and a mirror is away after that."""
    stubs = {
        "cloud-init": "touch sources; exit 2",
        "apt-get": """
            case "$*" in
            *" update --error-on=any")
                [[ -e sources ]] || exit 0
                if [[ ! -e tried ]]; then touch tried; exit 100; fi
                touch lists ;;
            *) [[ -e lists ]] ;;
            esac""",
        "dpkg": "true",
        "systemctl": "true",
        "sleep": "true",
    }
    for name, code in stubs.items():
        stub = tmp_path / name
        stub.write_text(f'#!/bin/bash\necho "{name} $*" >> calls\n{code}\n')
        stub.chmod(0o755)
    text = (ROOT / "install.sh").read_text()
    begin, end = text.index("say() {"), text.index("# Each instance restarts at a time of its own")
    functions = text[text.index("packages=(") : begin] + text[begin:end]
    done = subprocess.run(
        ["bash", "-c", f"set -Eeuo pipefail\n{functions}\ninstall_packages"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    words = [" ".join(each.split()[:1] + each.split()[-1:]) for each in calls]
    assert [each for each in words if not each.startswith("systemctl")] == [
        "cloud-init --wait",
        "dpkg -a",
        "apt-get --error-on=any",
        "sleep 2",
        "apt-get --error-on=any",
        "apt-get unattended-upgrades",
    ]


def mounts_are_allowed() -> bool:
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def read_slowly(world: World, path: str) -> bytes:
    """Read as a client far away does: what storage sends meanwhile has to stay somewhere."""
    sent = bearer()
    with world.client() as client, client.stream("GET", path, headers=sent) as reply:
        pieces = []
        for piece in reply.iter_raw(1_000_000):
            pieces.append(piece)
            time.sleep(0.15)
    return b"".join(pieces)


@pytest.mark.skipif(not mounts_are_allowed(), reason="a small disk cannot be mounted here")
def test_on_a_full_disk_content_is_served_and_not_kept(world: World) -> None:
    """The cache lies on a disk of 96 MB, in a mount namespace that all the services are in."""
    world.make_container()
    world.put_settings()
    world.put_certificate(world.authority.issue(world.fqdn))
    cache = world.instance.folder / "var/cache/clouddp"
    cache.mkdir(parents=True)
    world.instance.enter = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=96m none {cache} && exec "$@"',
        "sh",
    ]
    world.install()
    world.wait_until_ready()
    content = os.urandom(20_000_000)
    world.publish("kept.bin", content)
    world.publish("other.bin", content[::-1])
    assert world.get("/kept.bin").content == content
    pid = (world.instance.folder / "run/systemctl/clouddp-nginx.main").read_text()
    inside = Path(f"/proc/{pid}/root{cache}")
    filler = inside / "filler"
    free = shutil.disk_usage(inside).free
    filler.write_bytes(b"\0" * (free - 6_000_000))
    flag = world.instance.folder / "run/clouddp/disk-full"
    world.agent_does(flag.exists, "the agent sees that the disk is full")
    assert world.get("/kept.bin").content == content
    for _ in range(2):
        assert read_slowly(world, "/other.bin") == content[::-1]
    asked = [line for line in world.storage.requests() if "/other.bin" in line and "GET" in line]
    assert len(asked) == 6
    assert "The disk is nearly full" in world.messages()
    assert world.page("/healthz").status_code == 200
    filler.unlink()
    world.agent_does(lambda: not flag.exists(), "the agent sees that there is room again")
    assert world.get("/other.bin").content == content[::-1]
