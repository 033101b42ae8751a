"""The agent's work: one pass after another, each step for itself, the last good always kept."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
from collections.abc import Generator
from datetime import UTC, datetime

from . import certificates, messages
from .accounting import Accounting
from .identity import Identity
from .journal import Journal, say
from .nginx import Content, Disk, Nginx, render
from .places import Endpoints, Instance, Places
from .problem import Problem
from .revocation import RevocationLists
from .service import ServiceSettings, UsageSettings
from .vault import Secret, Vault
from .web import Web

PASS_SECONDS = 60.0
# While the service is not ready: roles may take ten minutes to act, or two seconds.
FIRST_SECONDS = 2.0
GROWTH = 1.4
MOST_SECONDS = 30.0
JITTER = 0.2
LONGEST_WAIT_SECONDS = 200.0

# What is kept for the next start.
SETTINGS = "settings.json"
CERTIFICATE = "tls.pem"
STAND_IN = "stand-in.pem"


class Keeper:
    """Keeps nginx serving with what the vault says."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._instance = Instance.read(places)
        self._endpoints = Endpoints.read(places)
        web = Web(self._endpoints)
        self._identity = Identity(web, self._instance.client_id)
        self._vault = Vault(web, self._identity, self._instance.vault_audience)
        self._revocation = RevocationLists(web, places)
        self._accounting = Accounting(
            web,
            self._identity,
            places=places,
            instance=self._instance,
            endpoints=self._endpoints,
        )
        self._nginx = Nginx(places)
        self._journal = Journal()
        self._retry_after = 0.0
        # What was good last; a file is kept once nginx has taken what is in it.
        self._kept = {name: self._read_kept(name) for name in (SETTINGS, CERTIFICATE)}
        self._settings = self._settings_kept()
        self._certificate_seen: tuple[str, str] | None = None
        self._certificate = self._kept[CERTIFICATE] or self._stand_in()
        self._certificate_expires: datetime | None = None
        self._addresses: tuple[tuple[str, int], ...] = ()
        # What has answered since the agent began: only with all of it is the service ready.
        self._proved: set[str] = set()

    def prepare(self) -> None:
        """Lays a configuration with which nginx can start: the last good one, or a first one."""
        with contextlib.suppress(Problem):
            self._resolve()
        if self._nginx.live and self._storage_is_unknown:
            return
        try:
            self._nginx.lay(self._rendered())
        except Problem as problem:
            if self._settings is None:
                raise
            say(f"starts without what was good last: {problem}")
            self._settings, self._certificate = None, self._stand_in()
            self._nginx.lay(self._rendered())

    def run(self) -> None:
        """Makes passes until the process is ended; a SIGHUP begins the next one at once."""
        messages.listen(self._places)
        if not (self._places.run / "started").exists():
            self._places.touch("started")
        wake = threading.Event()
        signal.signal(signal.SIGHUP, lambda *_: wake.set())
        notify("READY=1")
        say("The agent runs.")
        if self._settings:
            # Where content was refused before the machine restarted, it is from the beginning.
            with self._aside("quotas"):
                self._accounting.stop_or_go_on(UsageSettings.parse(self._settings.text))
        delay = FIRST_SECONDS
        while True:
            self.work()
            ready = self._ready
            wanted = PASS_SECONDS if ready else min(delay, MOST_SECONDS)
            delay = FIRST_SECONDS if ready else delay * GROWTH
            pause = max(wanted, self._retry_after) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            wake.wait(min(pause, LONGEST_WAIT_SECONDS))
            wake.clear()

    def work(self) -> None:
        """Makes one pass. No step's failure stops another, or undoes what was good."""
        self._retry_after = 0.0
        with self._step("storage token"):
            self._renew_storage_token()
        with self._step("settings"):
            self._read_settings()
        if self._settings:
            with self._step("certificate"):
                self._read_certificate(self._settings)
            with self._step("revocation"):
                self._revocation.renew(self._settings.access.revocation_lists)
            with self._step("storage address"):
                self._resolve()
        with self._step("nginx"):
            self._apply()
        if self._settings and not self._storage_is_unknown:
            with self._step("storage"):
                self._ask_storage()
        with self._step("readiness"):
            self._prove_ready()
        with self._step("disk"):
            self._look_at_disk()
        if self._settings and self._ready:
            self._account(self._settings)
        with self._step("access log"):
            messages.rotate(self._places)

    @property
    def _ready(self) -> bool:
        return (self._places.run / "ready").exists()

    @contextlib.contextmanager
    def _step(self, name: str) -> Generator[None]:
        self._beat()
        try:
            yield
        except Problem as problem:
            self._retry_after = max(self._retry_after, problem.retry_after)
            self._journal.problem(name, str(problem))
        except OSError as error:
            self._journal.problem(name, f"{error.strerror or error}: {error.filename or ''}")
        else:
            self._journal.works(name)

    def _beat(self) -> None:
        with contextlib.suppress(OSError):
            self._places.touch("alive")
        notify("WATCHDOG=1")

    def _renew_storage_token(self) -> None:
        token = self._identity.token(self._instance.storage_audience)
        path = self._places.run / "storage-token"
        if not path.exists() or path.read_text() != token:
            self._places.write(path, token, for_nginx=True)

    def _read_settings(self) -> None:
        vault = self._instance.vault_uri.rstrip("/")
        secret = self._vault.read(f"{vault}/secrets/{self._instance.settings_secret}")
        if self._settings is None or self._settings.text != secret.value:
            self._settings = ServiceSettings.parse(secret.value)
            say("The service settings are new.")
        self._proved.add("settings")

    def _read_certificate(self, settings: ServiceSettings) -> None:
        secret = self._vault.read(settings.certificate_id)
        seen = (secret.id, settings.fqdn)
        if seen != self._certificate_seen:
            now = datetime.now(UTC)
            served = certificates.read(
                secret.value, _encoding(secret, settings), settings.fqdn, now
            )
            self._certificate_seen = seen
            self._certificate_expires = served.expires
            if served.pem != self._certificate:
                self._certificate = served.pem
                say(f"The certificate is new; it expires {served.expires:%Y-%m-%d %H:%M} UTC.")
        self._proved.add("certificate")
        if self._certificate_expires and self._certificate_expires <= datetime.now(UTC):
            raise Problem("The certificate has expired, and the vault has no newer one.")

    def _resolve(self) -> None:
        """Looks up where storage is; while an address in use is still right, all stay."""
        if self._settings is None:
            return
        host = self._settings.storage_host
        fixed = self._endpoints.address(host)
        if fixed:
            self._addresses = (fixed,)
            return
        try:
            found = socket.getaddrinfo(host, 443, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            raise Problem(f"{host} has no address: {error.strerror}.") from error
        addresses = tuple(sorted({(str(entry[4][0]), 443) for entry in found}))
        if not set(self._addresses) & set(addresses):
            self._addresses = addresses

    def _rendered(self) -> dict[str, str]:
        content = None
        if self._settings and self._addresses:
            access = self._settings.access
            revoked = ""
            try:
                revoked = self._revocation.bundle(
                    access.revocation_lists, access.client_trust_roots
                )
            except Problem as problem:
                self._journal.problem("revocation lists", str(problem))
            else:
                self._journal.works("revocation lists")
            content = Content(self._settings, self._addresses, revoked)
        return render(self._places, self._instance, self._endpoints, self._certificate, content)

    @property
    def _storage_is_unknown(self) -> bool:
        """Whether nothing better could be rendered than what nginx serves with already."""
        return self._settings is not None and not self._addresses

    def _apply(self) -> None:
        if self._storage_is_unknown:
            return
        files = self._rendered()
        # Not only where it is new: an agent that was killed may not have had nginx take it.
        if not files["version"] == self._nginx.live == self._nginx.running():
            self._nginx.take(files)
            say(f"nginx serves with version {files['version']} of its configuration.")
        if self._settings:
            self._keep(SETTINGS, self._settings.text)
        if self._certificate_seen:
            self._keep(CERTIFICATE, self._certificate)

    def _ask_storage(self) -> None:
        """Looks whether storage answers, over the same way that content takes."""
        status = self._nginx.container_status()
        if status in (401, 403):
            # A token that has gone bad is not waited out.
            self._identity.forget(self._instance.storage_audience)
            raise Problem(
                f"Storage does not admit this instance (status {status}); roles and firewall rules"
                " may take a quarter of an hour."
            )
        if status != 200:
            raise Problem(f"The content container answers with status {status}.")
        self._proved.add("content container")

    def _prove_ready(self) -> None:
        if self._ready:
            return
        missing = {"settings", "certificate", "content container"} - self._proved
        if missing:
            raise Problem(f"The service waits for: {', '.join(sorted(missing))}.")
        if self._rendered()["version"] != self._nginx.running():
            raise Problem("The service waits for nginx.")
        self._places.touch("ready")
        say("The service is ready.")

    def _look_at_disk(self) -> None:
        flag = self._places.run / "disk-full"
        if Disk.of(self._places.cache).full:
            flag.touch()
            raise Problem("The disk is nearly full: content is served, and not kept.")
        flag.unlink(missing_ok=True)

    def _account(self, settings: ServiceSettings) -> None:
        """Keeps count, and stops at the quota where that is asked for."""
        with self._aside("access log counts"):
            self._accounting.read_traffic()
        with self._aside("quotas"):
            usage = UsageSettings.parse(settings.text)
            with self._aside("transfer"):
                self._accounting.read_transfer(usage)
            with self._aside("storage use"):
                self._accounting.read_capacity(usage)
            self._accounting.stop_or_go_on(usage)
            with self._aside("rows"):
                self._accounting.post(usage, self._kept[CERTIFICATE])

    @contextlib.contextmanager
    def _aside(self, name: str) -> Generator[None]:
        """A step that nothing served depends on: whatever goes wrong in it ends with it."""
        with self._step(name):
            try:
                yield
            except (Problem, OSError):
                raise
            except Exception as error:
                raise Problem(f"It failed: {type(error).__name__}: {error}.") from error

    def _settings_kept(self) -> ServiceSettings | None:
        try:
            return ServiceSettings.parse(self._kept[SETTINGS])
        except Problem:
            return None

    def _read_kept(self, name: str) -> str:
        try:
            return (self._places.state / name).read_text()
        except (OSError, ValueError):
            return ""

    def _keep(self, name: str, text: str) -> None:
        if self._kept[name] != text:
            self._places.write(self._places.state / name, text)
            self._kept[name] = text

    def _stand_in(self) -> str:
        """The certificate of the time before the first one of the vault, made once."""
        if not (pem := self._read_kept(STAND_IN)):
            pem = certificates.stand_in()
            self._places.write(self._places.state / STAND_IN, pem)
        return pem


def _encoding(secret: Secret, settings: ServiceSettings) -> str:
    """How a secret is written: certificates of Key Vault's own say it in their content type."""
    if secret.content_type == "application/x-pkcs12":
        return "pkcs12"
    if secret.content_type == "application/x-pem-file":
        return "pem"
    return settings.certificate_format


def notify(state: str) -> None:
    """Tells systemd how the agent is, where it asks (`sd_notify(3)`)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), address.replace("@", "\0", 1))
