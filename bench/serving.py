"""What an instance does with a big file and with many ranges, beside plain nginx and storage.

Run as `python -m bench.serving`. All on one machine and side by side, in rounds that take turns,
so that the ratios count and not the figures: storage is Azurite, and client and servers share the
cores.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from azure.storage.blob import BlobBlock

from sandbox import packages
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.pki import Authority
from tests.instance.world import ACCOUNT, CLOUD, STORAGE_HOST, World, free_port, token, until

BLOBS = ".blob.core.windows.net"
MIB = 2**20
# Less than the machine can take; what one connection to Azure's storage gives is not known here.
FAR = 100 * 10**6
SLICE = 8 * MIB
BLOCK = 64 * MIB
BLOCKS = 16
COLD_BLOCKS = BLOCKS // 4
FAR_BLOCKS = 2
COLD = COLD_BLOCKS * BLOCK
CONTENT = os.urandom(MIB) * (BLOCK // MIB)
ROUNDS = 5
FIRST_BYTES = 15
RANGE = 64 * 1024
RANGE_SECONDS = 3
CONNECTIONS = 8
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

PLAIN = """\
load_module modules/ngx_http_js_module.so;
user {user};
pid {folder}/plain.pid;
worker_processes auto;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 10000;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}/files;
    }}
}}
"""
WRK = """\
request = function()
    local first = math.random(0, {count}) * {size}
    return wrk.format("GET", nil, {{
        ["Authorization"] = "Bearer {token}",
        ["Range"] = "bytes=" .. first .. "-" .. (first + {size} - 1),
    }})
end
"""


@dataclass(frozen=True)
class Reading:
    """What one measurement said."""

    megabytes_per_second: float
    cpu_seconds_per_gigabyte: float


@dataclass(frozen=True)
class Line:
    """A line of the result."""

    title: str
    figure: str
    ratio: str = ""


def main() -> None:
    """Measure everything once and print it."""
    with tempfile.TemporaryDirectory(prefix="clouddp-") as name:
        folder = Path(name)
        with _world(folder / "near") as world:
            lines = [*_big_file(world, folder), *_first_bytes(world), *_ranges(world, folder)]
        with _world(folder / "far", pace=FAR) as world:
            lines += _far(world)
    width = max(len(line.title) for line in lines)
    for line in lines:
        print(f"{line.title:<{width}}  {line.figure:>28}  {line.ratio}")


@contextlib.contextmanager
def _world(folder: Path, *, pace: int = 0) -> Generator[World]:
    """An instance, and storage; at a pace in bytes a second for each connection, or right beside.

    Args:
        folder: Where everything may lie.
        pace: What each connection to storage gives; 0 for all that it can.
    """
    folder.mkdir()
    authority, issuer = Authority("Authority of the bench"), TokenIssuer()
    certificate, key = authority.issue("*.blob.core.windows.net", "localhost").files(
        folder / "storage", "server"
    )
    storage = Storage(
        folder / "storage/content",
        "127.0.0.1",
        free_port(),
        certificate=Path(certificate),
        key=Path(key),
    )
    storage.start([ACCOUNT])
    world = World(folder, authority, storage, issuer)
    world.relay.pace = pace
    # Straight to storage: the relay would be measured too.
    world.connect[BLOBS] = world.relay.address if pace else storage.address
    world.start_servers()
    try:
        world.get_ready()
        yield world
    finally:
        world.stop()
        storage.stop()


def _publish_big(world: World, name: str, blocks: int = BLOCKS) -> None:
    """A file of 64 MiB again and again: storage keeps one block, and reads as many as it has."""
    blob = world.blobs().get_blob_client(name)
    blob.stage_block("block", CONTENT)
    blob.commit_block_list([BlobBlock("block") for _ in range(blocks)])


def _big_file(world: World, folder: Path) -> Iterable[Line]:
    files = folder / "files"
    files.mkdir()
    with (files / "big.bin").open("wb") as file:
        for _ in range(BLOCKS):
            file.write(CONTENT)
    _publish_big(world, "big.bin")
    nginx = _nginx(world)
    with _plain_nginx(world, folder) as (port, plain):
        url = f"https://{world.fqdn}:{world.port}"
        _download(world, f"{url}/big.bin", world.port)
        kinds = ("plain", "cached", "cold", "storage", "kept")
        readings: dict[str, list[Reading]] = {kind: [] for kind in kinds}
        memory = _memory(nginx)
        for number in range(ROUNDS):
            plain_url = f"https://{world.fqdn}:{port}/big.bin"
            readings["plain"].append(
                _reading(plain, lambda to=plain_url: _download(world, to, port))
            )
            readings["cached"].append(
                _reading(nginx, lambda: _download(world, f"{url}/big.bin", world.port))
            )
            cold = f"cold-{number}.bin"
            _publish_big(world, cold, COLD_BLOCKS)
            _have_memory()
            readings["cold"].append(
                _reading(
                    nginx, lambda to=f"{url}/{cold}": _download(world, to, world.port), size=COLD
                )
            )
            for kind, kept in (("storage", Path(os.devnull)), ("kept", folder / cold)):
                _have_memory()
                readings[kind].append(
                    _reading(
                        nginx,
                        lambda cold=cold, kept=kept: _read_ranges(world, cold, kept),
                        size=COLD,
                    )
                )
        grown = _memory(nginx) - memory

    def middle(kind: str, what: Callable[[Reading], float]) -> float:
        return statistics.median(what(each) for each in readings[kind])

    speed = {kind: middle(kind, lambda each: each.megabytes_per_second) for kind in readings}
    cost = {kind: middle(kind, lambda each: each.cpu_seconds_per_gigabyte) for kind in readings}
    for kind, title in (
        ("plain", "plain nginx over TLS, from disk"),
        ("cached", "the service, cached"),
    ):
        yield Line(
            f"1 GiB: {title}",
            f"{speed[kind]:.0f} MB/s, {cost[kind]:.2f} CPU s/GB",
            f"{speed[kind] / speed['plain']:.2f} of plain",
        )
    yield Line("256 MiB: storage, the same ranges directly", f"{speed['storage']:.0f} MB/s")
    yield Line("256 MiB: the same, written to disk", f"{speed['kept']:.0f} MB/s")
    yield Line(
        "256 MiB: the service, cold, which keeps them",
        f"{speed['cold']:.0f} MB/s, {cost['cold']:.2f} CPU s/GB",
        f"{speed['cold'] / speed['storage']:.2f} of storage, "
        f"{speed['cold'] / speed['kept']:.2f} of written",
    )
    yield Line("memory of nginx grew over all downloads by", f"{grown / MIB:.1f} MiB")


def _far(world: World) -> Iterable[Line]:
    service, storage = [], []
    nginx = _nginx(world)
    for number in range(ROUNDS):
        name = f"far-{number}.bin"
        _publish_big(world, name, FAR_BLOCKS)
        url = f"https://{world.fqdn}:{world.port}/{name}"
        for speeds, download in (
            (service, lambda to=url: _download(world, to, world.port)),
            (storage, lambda name=name: _read_ranges(world, name, Path(os.devnull), FAR_BLOCKS)),
        ):
            reading = _reading(nginx, download, size=FAR_BLOCKS * BLOCK)
            speeds.append(reading.megabytes_per_second)
    direct, through = statistics.median(storage), statistics.median(service)
    yield Line(f"{FAR // 10**6} MB/s a connection: storage directly", f"{direct:.0f} MB/s")
    yield Line(
        f"{FAR // 10**6} MB/s a connection: the service, cold",
        f"{through:.0f} MB/s",
        f"{through / direct:.2f} of storage",
    )


def _first_bytes(world: World) -> Iterable[Line]:
    service, storage = [], []
    for number in range(FIRST_BYTES):
        name = f"first-{number}.bin"
        world.publish(name, CONTENT[:SLICE])
        storage.append(_first_byte(world, f"https://{STORAGE_HOST}/{world.container}/{name}"))
        service.append(_first_byte(world, f"https://{world.fqdn}:{world.port}/{name}"))
    direct, through = statistics.median(storage), statistics.median(service)
    yield Line("first byte: storage directly", f"{direct * 1000:.1f} ms")
    yield Line(
        "first byte: the service, cold", f"{through * 1000:.1f} ms", f"{through / direct:.2f}"
    )


def _ranges(world: World, folder: Path) -> Iterable[Line]:
    script = folder / "ranges.lua"
    count = BLOCK // RANGE - 1
    script.write_text(WRK.format(count=count, size=RANGE, token=token()))
    _publish_big(world, "ranges.bin", 1)
    url = f"https://{world.fqdn}:{world.port}/ranges.bin"
    _download(world, url, world.port)
    nginx = _nginx(world)
    figures: dict[str, list[float]] = {"no check": [], "anonymous": [], "token": []}
    cost: dict[str, list[float]] = {kind: [] for kind in figures}
    for _ in range(ROUNDS):
        for kind in figures:
            with _access(world, kind):
                cpu = _cpu(nginx)
                figures[kind].append(_wrk(world, script))
                cost[kind].append((_cpu(nginx) - cpu) / (figures[kind][-1] * RANGE_SECONDS))
    middle = {kind: statistics.median(values) for kind, values in figures.items()}
    each = {kind: statistics.median(values) * 10**6 for kind, values in cost.items()}
    for kind, title in (
        ("no check", "without any check"),
        ("anonymous", "anonymous"),
        ("token", "with a token"),
    ):
        yield Line(
            f"64 KiB ranges, {title}",
            f"{middle[kind]:,.0f} a second, {each[kind]:.0f} CPU us",
            f"{middle[kind] / middle['no check']:.2f}, CPU {each[kind] / each['no check']:.2f}",
        )


@contextlib.contextmanager
def _access(world: World, kind: str) -> Generator[None]:
    """Have the service check clients so for a while; "no check" takes the gate out of nginx."""
    live = world.instance.folder / "var/lib/clouddp/live"
    if kind != "no check":
        world.access["anonymous"] = kind == "anonymous"
        world.put_settings()
        wanted = f'"anonymous": {str(kind == "anonymous").lower()}'
        world.agent_does(
            lambda: wanted in (live / "settings.js").read_text(), "the settings are in force"
        )
        yield
        return
    content = live / "content.conf"
    kept = content.read_text()
    without = [line for line in kept.splitlines() if "auth_request" not in line]
    names = ("verdict", "reason", "blob_version", "blob_size")
    blanks = [f'    set ${name} "";' for name in names]
    place = without.index("    slice 8m;")
    content.write_text("\n".join([*without[:place], *blanks, *without[place:]]))
    assert world.instance.systemctl("reload", "clouddp-nginx") == 0
    time.sleep(1)
    url = f"https://{world.fqdn}:{world.port}/ranges.bin"
    _download(world, url, world.port)
    try:
        yield
    finally:
        content.write_text(kept)
        assert world.instance.systemctl("reload", "clouddp-nginx") == 0
        time.sleep(1)


@contextlib.contextmanager
def _plain_nginx(world: World, folder: Path) -> Generator[tuple[int, int]]:
    port = free_port()
    certificate = folder / "plain.pem"
    certificate.write_text(world.authority.issue(world.fqdn).bundle)
    configuration = folder / "plain.conf"
    configuration.write_text(
        PLAIN.format(
            folder=folder,
            port=port,
            certificate=certificate,
            user=world.instance.environment()["CLOUDDP_USER"],
        )
    )
    process = subprocess.Popen(
        ["nginx", "-e", "stderr", "-c", configuration, "-g", "daemon off;"],
        env=packages.environment(*packages.NGINX),
    )
    until("plain nginx listens", (folder / "plain.pid").exists)
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _curl(world: World, *words: str) -> str:
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--http1.1", "--cacert", world.ca, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _download(world: World, url: str, port: int) -> None:
    bearer = f"Authorization: Bearer {token()}"
    _curl(
        world, "-o", "/dev/null", "-H", bearer, "--resolve", f"{world.fqdn}:{port}:127.0.0.1", url
    )


def _storage_words(world: World) -> Mapping[str, str]:
    access = world.issuer.token("bench", CLOUD.storage_audience)
    return {"Authorization": f"Bearer {access}", "x-ms-version": "2021-12-02"}


def _read_ranges(world: World, name: str, kept: Path, blocks: int = COLD_BLOCKS) -> None:
    """Read a cold blob from storage in the ranges of the service, one after another.

    Args:
        world: What storage belongs to.
        name: The blob.
        kept: Where its ranges are written, a file each, or the null device.
        blocks: How many it has.
    """
    words = ["--connect-to", f"{STORAGE_HOST}:443:{world.connect[BLOBS]}"]
    for header, value in _storage_words(world).items():
        words += ["-H", f"{header}: {value}"]
    url = f"https://{STORAGE_HOST}/{world.container}/{name}"
    command: list[str] = []
    for first in range(0, blocks * BLOCK, SLICE):
        file = str(kept) if kept.is_char_device() else f"{kept}.{first}"
        one = [*words, "-o", file, "-r", f"{first}-{first + SLICE - 1}", url]
        command += [*(["--next", "--cacert", str(world.ca), "--http1.1"] if command else []), *one]
    _curl(world, *command)


def _first_byte(world: World, url: str) -> float:
    """Seconds from opening a connection to the first byte of the answer, handshake included."""
    words = ["-o", "/dev/null", "-w", "%{time_starttransfer}"]
    if STORAGE_HOST in url:
        words += ["--connect-to", f"{STORAGE_HOST}:443:{world.storage.address}"]
        words += ["-r", f"0-{SLICE - 1}"]
        for header, value in _storage_words(world).items():
            words += ["-H", f"{header}: {value}"]
    else:
        words += ["--resolve", f"{world.fqdn}:{world.port}:127.0.0.1"]
        words += ["-H", f"Authorization: Bearer {token()}"]
    return float(_curl(world, *words, url))


def _reading(master: int, download: Callable[[], None], *, size: int = BLOCKS * BLOCK) -> Reading:
    cpu, begun = _cpu(master), time.monotonic()
    download()
    seconds = time.monotonic() - begun
    return Reading(size / 10**6 / seconds, (_cpu(master) - cpu) / (size / 10**9))


def _wrk(world: World, script: Path) -> float:
    done = subprocess.run(
        [
            "wrk",
            "--threads=1",
            f"--connections={CONNECTIONS}",
            f"--duration={RANGE_SECONDS}s",
            f"--script={script}",
            f"https://127.0.0.1:{world.port}/ranges.bin",
        ],
        env=packages.environment("wrk"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("Requests/sec:"))
    return float(line.split()[1])


def _have_memory() -> None:
    """Use memory and free it, so that a file that is written finds it there.

    A virtual machine gets memory that it never used, or gave back, page by page when it is first
    touched, which may take longer than all that is measured here.
    """
    size = 6 * COLD
    touch = f"memory = bytearray({size})\nfor page in range(0, {size}, 4096): memory[page] = 1"
    subprocess.run([sys.executable, "-c", touch], check=True)


def _nginx(world: World) -> int:
    """Process id of the instance's nginx."""
    return int((world.instance.folder / "run/systemctl/clouddp-nginx.main").read_text())


def _processes(master: int) -> list[Path]:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [Path("/proc") / pid for pid in (str(master), *children)]


def _cpu(master: int) -> float:
    ticks = 0
    for process in _processes(master):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_TICKS


def _memory(master: int) -> int:
    pages = sum(int((each / "statm").read_text().split()[1]) for each in _processes(master))
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    if shutil.which("curl") is None:
        raise SystemExit("This needs curl.")
    main()
