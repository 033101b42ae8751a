"""A small program of its own on the real engine, without any Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sandbox import environment, pulumi_cli

CHECKOUT = Path(__file__).parents[2]
SECONDS = 120


@dataclass(frozen=True)
class Program:
    """A program with a stack, a home and a backend in one folder."""

    folder: Path
    variables: dict[str, str]

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Runs a command. Returns what it printed."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        said = done.stdout + done.stderr
        assert bool(done.returncode) is fails, said
        assert "Traceback" not in said
        return said


def make_program(folder: Path, text: str) -> Program:
    """Makes a program of that text, with a stack."""
    environment.ensure(CHECKOUT)
    engine = pulumi_cli.ensure(Path(sys.executable))
    program = folder / "program"
    program.mkdir()
    (program / "__main__.py").write_text(text)
    (program / "Pulumi.yaml").write_text(
        "name: program\n"
        f"runtime: {{name: python, options: {{virtualenv: {CHECKOUT / '.venv'}}}}}\n"
        "plugins:\n  providers:\n"
        f"    - {{name: clouddp-dns, path: {CHECKOUT / 'components' / 'dns' / 'plugin'}}}\n"
    )
    (folder / "backend").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI")}
    variables = kept | {
        "PATH": f"{engine}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    made = Program(program, variables)
    made.pulumi("stack", "init", "test")
    return made
