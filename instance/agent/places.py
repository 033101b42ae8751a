"""Where everything lies on an instance, and what was fixed when it was installed."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Places:
    """Folders of one instance, all below one root."""

    root: Path
    user: str

    @classmethod
    def from_environment(cls) -> Places:
        """The places that the units and the install script say."""
        return cls(
            root=Path(os.environ.get("CLOUDDP_PREFIX", "/")).resolve(),
            user=os.environ.get("CLOUDDP_USER", "www-data"),
        )

    @property
    def configuration(self) -> Path:
        """What the install script wrote."""
        return self.root / "etc/clouddp"

    @property
    def templates(self) -> Path:
        """The nginx files with words to fill in."""
        return self.root / "usr/lib/clouddp/nginx"

    @property
    def run(self) -> Path:
        """Flags, sockets and tokens: all that ends with the boot."""
        return self.root / "run/clouddp"

    @property
    def state(self) -> Path:
        """What was good last; only root may look inside."""
        return self.root / "var/lib/clouddp"

    @property
    def cache(self) -> Path:
        """Content that nginx keeps."""
        return self.root / "var/cache/clouddp"

    @property
    def logs(self) -> Path:
        """The access log."""
        return self.root / "var/log/clouddp"

    def write(self, path: Path, text: str, *, for_nginx: bool = False) -> None:
        """Writes a file whole or not at all; nobody else may read it, but nginx where it has to.

        Args:
            path: the file.
            text: what will be in it.
            for_nginx: whether the processes that serve requests read it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                if for_nginx and os.geteuid() == 0:
                    os.fchown(file.fileno(), 0, pwd.getpwnam(self.user).pw_gid)
                    os.fchmod(file.fileno(), 0o640)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def touch(self, flag: str) -> None:
        """Sets a flag that nginx looks at."""
        (self.run / flag).touch()


@dataclass(frozen=True)
class Instance:
    """What was fixed when the instance was installed: the parameters of the install script."""

    vault_uri: str
    settings_secret: str
    client_id: str
    service_port: int
    vault_audience: str
    storage_audience: str
    monitor_audience: str
    resource_manager: str

    @classmethod
    def read(cls, places: Places) -> Instance:
        """Reads `instance.json`, which the install script wrote."""
        values: dict[str, Any] = json.loads((places.configuration / "instance.json").read_text())
        return cls(
            vault_uri=values["vaultUri"],
            settings_secret=values["settingsSecret"],
            client_id=values["clientId"],
            service_port=values["servicePort"],
            vault_audience=values["vaultAudience"],
            storage_audience=values["storageAudience"],
            monitor_audience=values["monitorAudience"],
            resource_manager=values["resourceManager"],
        )


@dataclass(frozen=True)
class Endpoints:
    """Where hosts really are, for an instance that is not in Azure: `endpoints.json`.

    `{"connect": {"169.254.169.254": "127.0.0.2:8001", ".vault.azure.net": "127.0.0.2:8443"},
    "caBundle": "/path/ca.pem", "listen": "127.0.0.3", "cacheBytes": 1000000000}`, all optional.
    A host that begins with a dot stands for all names that end so.
    """

    connect: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    listen: str = ""
    cache_bytes: int = 0

    @classmethod
    def read(cls, places: Places) -> Endpoints:
        """Reads the file; where there is none, every host is where DNS says."""
        try:
            values: dict[str, Any] = json.loads(
                (places.configuration / "endpoints.json").read_text()
            )
        except FileNotFoundError:
            values = {}
        return cls(
            connect=values.get("connect", {}),
            ca_bundle=Path(values.get("caBundle", cls.ca_bundle)),
            listen=values.get("listen", ""),
            cache_bytes=values.get("cacheBytes", 0),
        )

    def address(self, host: str) -> tuple[str, int] | None:
        """Where to connect for a host, or None where DNS says it."""
        found = self.connect.get(host) or next(
            (
                address
                for suffix, address in self.connect.items()
                if suffix.startswith(".") and host.endswith(suffix)
            ),
            None,
        )
        if found is None:
            return None
        name, _, port = found.rpartition(":")
        return name, int(port)
