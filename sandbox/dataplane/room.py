"""Where the data plane keeps what: all of it in the sandbox's folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# The longest path of a socket file (unix(7)), and what an instance adds to its set's folder.
LONGEST_SOCKET_PATH = 107
LONGEST_INSIDE = len("/clouddp-18-characters-scaleset/15/run/clouddp/control.sock")


@dataclass(frozen=True)
class Room:
    """Files and folders of one sandbox's data plane.

    Attributes:
        state: The sandbox's folder.
    """

    state: Path

    @property
    def folder(self) -> Path:
        """What the supervisor needs for itself."""
        return self.state / "dataplane"

    @property
    def lock_file(self) -> Path:
        """Locked while the supervisor runs."""
        return self.folder / "lock"

    @property
    def database(self) -> Path:
        """The control plane's."""
        return self.state / "azure.db"

    @property
    def logs(self) -> Path:
        """What everybody says."""
        return self.state / "logs"

    @property
    def log(self) -> Path:
        """What the supervisor says."""
        return self.logs / "dataplane.log"

    @property
    def storage(self) -> Path:
        """The content of all storage accounts."""
        return self.state / "storage"

    @property
    def records(self) -> Path:
        """What Azure Monitor keeps."""
        return self.state / "monitor.db"

    @property
    def traffic(self) -> Path:
        """What the balancers say of each connection."""
        return self.logs / "traffic.log"

    @property
    def alerts(self) -> Path:
        """Who was told what."""
        return self.logs / "alerts.log"

    @property
    def authority(self) -> Path:
        """PEM of the authority of storage and vaults."""
        return self.folder / "authority.pem"

    @property
    def token_key(self) -> Path:
        """What access tokens are signed with."""
        return self.folder / "token-key"

    def instances(self) -> Path:
        """Return the folder of the instances, elsewhere where this one's path is too long.

        Paths of socket files are short or refused, and nginx has some in each instance.
        """
        own = self.state / "instances"
        if len(str(own)) + LONGEST_INSIDE <= LONGEST_SOCKET_PATH:
            own.mkdir(exist_ok=True)
        elif not own.is_dir():
            own.unlink(missing_ok=True)
            own.symlink_to(tempfile.mkdtemp(prefix="clouddp-"))
        return own.resolve()

    def forget_instances(self) -> None:
        """Remove the instances' folders: a new instance has a new disk."""
        own = self.state / "instances"
        shutil.rmtree(own.resolve(), ignore_errors=True)
        if own.is_symlink():
            own.unlink()

    def lock(self) -> IO[str] | None:
        """Take the lock of the one supervisor; None where another one has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.lock_file.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def report(self, values: dict[str, Any]) -> None:
        """Say what runs: `pid`, `version`, `nameserver`."""
        new = self.folder / "running.new"
        new.write_text(json.dumps(values))
        new.replace(self.folder / "running.json")

    def reported(self) -> dict[str, Any]:
        """Return what was said last, nothing where nothing was."""
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.folder / "running.json").read_text())
        return {}
