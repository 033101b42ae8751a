"""What runs on each instance of the service, packed into one script that installs it.

The script goes into the Custom Script extension, so its text is part of the scale set's model:
whatever changes it rolls through the machines. It therefore carries only what never changes;
all else comes from the service settings, which the agent reads from the vault.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shlex
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).parent
MAXIMUM_SCRIPT_BYTES = 256 * 1024
"""Limit of the extension's ``script`` (Microsoft Learn, "Custom Script Extension for Linux")."""

_DESTINATIONS = {
    "agent/*.py": "usr/lib/clouddp/agent",
    "nginx/*": "usr/lib/clouddp/nginx",
    "systemd/*": "etc/systemd/system",
    "tmpfiles/*": "usr/lib/tmpfiles.d",
}
"""Where the files of each folder go, below the root of the instance."""

_END_OF_FILE = "END-OF-CLOUDDP-FILE"
_FILES_MARK = "# The files are written here.\n"
_VERSION_MARK = "@PAYLOAD_VERSION@"


class Cloud(Protocol):
    """What the instances need to know about their cloud, as `components.clouds.Cloud` says it."""

    @property
    def vault_audience(self) -> str:
        """Audience of a token for Key Vault."""

    @property
    def storage_audience(self) -> str:
        """Audience of a token for storage."""

    @property
    def monitor_audience(self) -> str:
        """Audience of a token for the logs ingestion API."""

    @property
    def resource_manager(self) -> str:
        """URL of Azure Resource Manager."""


def install_script(
    *, vault_uri: str, settings_secret: str, client_id: str, cloud: Cloud, service_port: int
) -> str:
    """Packs the payload and its parameters for the ``script`` of the Custom Script extension.

    The same arguments and payload give the same text, or each preview would show a change.

    Args:
        vault_uri: URL of the vault that holds the service settings.
        settings_secret: name of the secret with the service settings.
        client_id: client id of the managed identity that the instances act as.
        cloud: the end points of the cloud.
        service_port: port on which clients come in.

    Returns:
        The script, compressed with gzip and encoded in base64.

    Raises:
        ValueError: the script is larger than the extension takes.
    """
    parameters = {
        "clientId": client_id,
        "monitorAudience": cloud.monitor_audience,
        "resourceManager": cloud.resource_manager,
        "servicePort": service_port,
        "settingsSecret": settings_secret,
        "storageAudience": cloud.storage_audience,
        "vaultAudience": cloud.vault_audience,
        "vaultUri": vault_uri,
    }
    files = _payload() | {
        "etc/clouddp/instance.json": json.dumps(parameters, indent=2, sort_keys=True) + "\n"
    }
    script = (
        (FOLDER / "install.sh")
        .read_text()
        .replace(_VERSION_MARK, payload_version())
        .replace(_FILES_MARK, "".join(_written(path, text) for path, text in sorted(files.items())))
    )
    packed = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    if len(packed) > MAXIMUM_SCRIPT_BYTES:
        raise ValueError(
            f"The install script has {len(packed)} bytes, and the Custom Script extension takes"
            f" {MAXIMUM_SCRIPT_BYTES} at most."
        )
    return packed


def payload_version() -> str:
    """Short digest of all that is installed but the parameters."""
    total = hashlib.sha256((FOLDER / "install.sh").read_bytes())
    for path, text in sorted(_payload().items()):
        total.update(f"{path}\0{text}\0".encode())
    return total.hexdigest()[:12]


def _payload() -> dict[str, str]:
    return {
        f"{folder}/{source.name}": source.read_text()
        for pattern, folder in _DESTINATIONS.items()
        for source in FOLDER.glob(pattern)
    }


def _written(path: str, text: str) -> str:
    """The lines of bash that write one file, quoted so that bash changes nothing in it."""
    if _END_OF_FILE in text or not text.endswith("\n"):
        raise ValueError(f"{path} cannot be packed: it has to end with a newline.")
    return f"put {shlex.quote(path)} <<'{_END_OF_FILE}'\n{text}{_END_OF_FILE}\n"
