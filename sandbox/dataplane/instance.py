"""One instance of the service as a folder on this machine: what the extension would install."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox import packages
from sandbox.dataplane import systemctl

INSTALL_SECONDS = 120
UNITS = ("clouddp-agent", "clouddp-nginx")


class Instance:
    """A folder that an instance is installed in.

    Its services run as this process's own user.

    Attributes:
        folder: Its folder.
        enter: Words in front of the install script's command, for what has to run elsewhere.
    """

    def __init__(self, folder: Path, *, owner: int = 0) -> None:
        """Name the instance; nothing is installed yet.

        Args:
            folder: Its folder.
            owner: A process: when that ends, the instance ends too. 0 for none.
        """
        self.folder = folder.resolve()
        self.enter: Sequence[str] = ()
        self._owner = owner

    def install(
        self, script: str, endpoints: Mapping[str, Any]
    ) -> subprocess.CompletedProcess[str]:
        """Run an install script as the Custom Script extension does.

        Args:
            script: What the extension has as its `script`: gzip in base64.
            endpoints: What `endpoints.json` is to say.

        Returns:
            The finished script; its code is not 0 where the service did not come up.
        """
        configuration = self.folder / "etc/clouddp"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "endpoints.json").write_text(json.dumps(endpoints))
        path = self.folder / "install.sh"
        path.write_bytes(gzip.decompress(base64.b64decode(script)))
        return subprocess.run(
            [*self.enter, "bash", path],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    def systemctl(self, *words: str) -> int:
        """Run the instance's own `systemctl`, and return its exit code."""
        return subprocess.run(
            ["systemctl", *words], env=self.environment(), check=False, timeout=INSTALL_SECONDS
        ).returncode

    def stop(self) -> None:
        """Stop the instance's services; its folder stays."""
        self.systemctl("stop", *UNITS)

    def environment(self) -> dict[str, str]:
        """Return the environment that the instance's programs run in."""
        shims = systemctl.shims(self.folder / "programs")
        path = [shims, packages.programs(*packages.NGINX), Path(sys.executable).parent]
        return os.environ | {
            "CLOUDDP_PREFIX": str(self.folder),
            "CLOUDDP_USER": pwd.getpwuid(os.geteuid()).pw_name,
            systemctl.OWNER: str(self._owner),
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
        }
