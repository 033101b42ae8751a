"""Makes the configuration of nginx, tests it, and has nginx take it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .places import Endpoints, Instance, Places
from .problem import Problem
from .service import ServiceSettings
from .web import request_locally

UNIT = "clouddp-nginx.service"
TEST_SECONDS = 60
TAKE_SECONDS = 15
# For a tenth of a second the workers of both versions answer.
SETTLE_SECONDS = 0.5
KEPT_VERSIONS = 3
MARK = re.compile(r"@([A-Z_]+)@")

GIB = 2**30
CACHE_PERCENT = 70
RESERVE_PERCENT = 5
RESERVE_MOST_PERCENT = 25

STORAGE_API = "2021-12-02"
# The headers of storage (Microsoft Learn, "Get Blob", response headers).
# fmt: off
HIDDEN_HEADERS = (
    "x-ms-access-tier", "x-ms-access-tier-change-time", "x-ms-access-tier-inferred",
    "x-ms-archive-status", "x-ms-blob-committed-block-count", "x-ms-blob-content-md5",
    "x-ms-blob-sealed", "x-ms-blob-sequence-number", "x-ms-blob-type", "x-ms-client-request-id",
    "x-ms-content-crc64", "x-ms-copy-completion-time", "x-ms-copy-id", "x-ms-copy-progress",
    "x-ms-copy-source", "x-ms-copy-status", "x-ms-copy-status-description",
    "x-ms-creation-time", "x-ms-encryption-context", "x-ms-encryption-key-sha256",
    "x-ms-encryption-scope", "x-ms-error-code", "x-ms-expiry-time",
    "x-ms-immutability-policy-mode", "x-ms-immutability-policy-until-date",
    "x-ms-incremental-copy", "x-ms-is-current-version", "x-ms-last-access-time",
    "x-ms-lease-duration", "x-ms-lease-state", "x-ms-lease-status", "x-ms-legal-hold",
    "x-ms-meta-hdi_isfolder", "x-ms-or-policy-id", "x-ms-rehydrate-priority", "x-ms-request-id",
    "x-ms-request-server-encrypted", "x-ms-resource-type", "x-ms-server-encrypted",
    "x-ms-smart-access-tier", "x-ms-tag-count", "x-ms-version", "x-ms-version-id",
)
# fmt: on


@dataclass(frozen=True)
class Disk:
    """The disk that the cache lies on, in bytes."""

    total: int
    free: int

    @classmethod
    def of(cls, path: Path) -> Disk:
        """Measures the disk below a folder."""
        usage = shutil.disk_usage(path)
        return cls(usage.total, usage.free)

    @property
    def reserve(self) -> int:
        """What the cache leaves free for all else."""
        least = min(GIB, self.total * RESERVE_MOST_PERCENT // 100)
        return max(least, self.total * RESERVE_PERCENT // 100)

    @property
    def full(self) -> bool:
        """Whether something else took half of what the cache leaves free."""
        return self.free < self.reserve // 2


@dataclass(frozen=True, repr=False)
class Content:
    """What has to be known before nginx can serve content."""

    settings: ServiceSettings
    addresses: Sequence[tuple[str, int]]
    """Where storage is."""
    revoked: str
    """PEM of the revocation lists, empty for none."""


def render(
    places: Places,
    instance: Instance,
    endpoints: Endpoints,
    certificate: str,
    content: Content | None,
) -> dict[str, str]:
    """Makes all files of one version of nginx's configuration.

    Args:
        places: where everything lies.
        instance: what was fixed when the instance was installed.
        endpoints: where hosts really are.
        certificate: key, leaf and chain in PEM.
        content: None while the service starts.

    Returns:
        The text of each file by its name. The same arguments give the same texts.
    """
    disk = Disk.of(places.cache)
    words = {
        "CACHE": str(places.cache),
        "CACHE_BYTES": str(endpoints.cache_bytes or disk.total * CACHE_PERCENT // 100),
        "CA_BUNDLE": str(endpoints.ca_bundle),
        "FREE_BYTES": str(disk.reserve),
        "LISTEN": f"{endpoints.listen or '*'}:{instance.service_port}",
        "LOG": str(places.logs),
        "RUN": str(places.run),
        "STORAGE_API": STORAGE_API,
        "TRUST": "none",
        "USER": places.user,
    }
    files = {"tls.pem": certificate, "storage.conf": "", "control.conf": "", "named.conf": ""}
    names = {name: name for name in ("nginx.conf", "site.conf", "methods.conf", "gate.js")}
    names["content.conf"] = "starting.conf"
    gate: dict[str, object] = {"run": str(places.run)}
    if content:
        settings, access = content.settings, content.settings.access
        serving = ("content.conf", "storage.conf", "control.conf", "first-slice.conf")
        names |= {name: name for name in serving}
        words |= {
            "CONTAINER": settings.container,
            "HIDDEN_HEADERS": "\n".join(f"proxy_hide_header {name};" for name in HIDDEN_HEADERS),
            "STORAGE_HOST": settings.storage_host,
            "STORAGE_SERVERS": "\n    ".join(
                f"server {host}:{port};" for host, port in content.addresses
            ),
        }
        gate |= {
            "anonymous": access.anonymous,
            "clientCertificates": bool(access.client_trust_roots),
            "tokenKeys": list(access.token_keys),
        }
        if access.client_trust_roots:
            files["roots.pem"] = f"{access.client_trust_roots}\n"
            names["named.conf"] = "named.conf"
            words["FQDN"] = settings.fqdn
            words["REVOCATION"] = "ssl_crl revoked.pem;" if content.revoked else ""
            words["TRUST"] = _digest([access.client_trust_roots, content.revoked])
            if content.revoked:
                files["revoked.pem"] = content.revoked
    files["settings.js"] = f"export default {json.dumps(gate, sort_keys=True)};\n"
    templates = {name: (places.templates / source).read_text() for name, source in names.items()}
    words["VERSION"] = _digest(
        [text for item in sorted((files | templates).items()) for text in item]
        + [f"{key}={value}" for key, value in sorted(words.items())]
    )
    # Templates only: what else is in the files may hold any text, a token key for one.
    filled = {name: MARK.sub(lambda mark: words[mark[1]], text) for name, text in templates.items()}
    return {**files, **filled, "version": words["VERSION"]}


class Nginx:
    """The running nginx: each version of its configuration lies in a folder of its own."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._live = places.state / "live"
        self._versions = places.state / "versions"

    @property
    def live(self) -> str:
        """The version that nginx is to run, empty where there is none."""
        return self._live.readlink().name if self._live.exists() else ""

    def lay(self, files: Mapping[str, str]) -> None:
        """Writes a version, tests it, and makes it the one that nginx reads next.

        Raises:
            Problem: nginx does not take it; the one before stays.
        """
        version = files["version"]
        folder = self._versions / version
        try:
            for name, text in files.items():
                self._places.write(folder / name, text)
            self._test(folder)
            self._point(version)
        except OSError as error:
            raise Problem(f"nginx's configuration cannot be written: {error.strerror}.") from error
        self._sweep()

    def take(self, files: Mapping[str, str]) -> None:
        """Has the running nginx serve with a version; downloads that run go on.

        Raises:
            Problem: nginx does not take it; the one before stays in force.
        """
        before = self.live
        self.lay(files)
        try:
            self._reload()
            self.confirm()
            time.sleep(SETTLE_SECONDS)
        except Problem:
            if before:
                self._point(before)
            raise

    def confirm(self) -> None:
        """Waits until nginx runs the live version.

        Raises:
            Problem: it does not within some seconds.
        """
        end = time.monotonic() + TAKE_SECONDS
        while self.running() != self.live:
            if time.monotonic() > end:
                raise Problem("nginx does not take its new configuration; see its own messages.")
            time.sleep(0.1)

    def running(self) -> str:
        """The version that nginx runs, empty where it does not answer."""
        try:
            reply = request_locally(self._places.run / "control.sock", "/version", seconds=5)
        except Problem:
            return ""
        return reply.body.decode(errors="replace") if reply.status == 200 else ""

    def container_status(self) -> int:
        """Status with which storage answers nginx's question for the container.

        Raises:
            Problem: nginx does not answer.
        """
        return request_locally(self._places.run / "control.sock", "/container").status

    def _test(self, folder: Path) -> None:
        command = ["nginx", "-e", "stderr", "-t", "-q", "-c", str(folder / "nginx.conf")]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TEST_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Problem(f"nginx cannot be asked to test its configuration: {error}.") from error
        if done.returncode:
            if folder.name != self.live:
                shutil.rmtree(folder, ignore_errors=True)
            reason = next((line for line in done.stderr.splitlines() if "[emerg]" in line), "")
            raise Problem(f"nginx refuses its new configuration: {reason.strip()}.")

    def _point(self, version: str) -> None:
        fresh = self._live.with_name("live.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("versions") / version)
        fresh.replace(self._live)

    def _reload(self) -> None:
        done = subprocess.run(
            ["systemctl", "reload", UNIT], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Problem(f"nginx is not reloaded: {done.stderr.strip() or 'systemctl failed'}.")

    def _sweep(self) -> None:
        folders = sorted(self._versions.iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in folders[:-KEPT_VERSIONS]:
            if folder.name != self.live:
                shutil.rmtree(folder, ignore_errors=True)


def _digest(texts: Sequence[str]) -> str:
    total = hashlib.sha256()
    for text in texts:
        total.update(f"{len(text)} {text}".encode())
    return total.hexdigest()[:16]
