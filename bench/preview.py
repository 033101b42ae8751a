"""`pulumi preview` of this program beside the same resources written plainly.

    python -m bench.preview

Both run on the sandbox's control plane, in turn, so that what else the machine does strikes both:
the ratios count, not the seconds. The plain program registers the same resources with the same
inputs (`bench.plain`), flat, with the SDK's version aliases as they come.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import plain
from sandbox import certificates, no_names, pulumi_cli
from sandbox.home import STACK, Sandbox
from sandbox.requirements import ROOT

RUNS = {1: 5, 10: 3, 40: 2}
"""Pairs of runs, by the number of distribution points."""
SAMPLE_SECONDS = 0.05
MB = 10**6
OUR_IMPORTS = "import gc; gc.disable(); import components.cloud_distribution_point"
PLAIN_IMPORTS = (
    "from pulumi_azure_native import applicationinsights, authorization, compute, dns, keyvault, "
    "managedidentity, monitor, network, operationalinsights, resources, storage"
)
LINKED = ("components", "instance", "__main__.py", "Pulumi.yaml")


@dataclass(frozen=True)
class Cost:
    """What one command cost."""

    seconds: float
    tree: float
    """Most memory of all its processes together, in MB."""
    largest: float
    """Most memory of one of them, in MB."""


@dataclass(frozen=True)
class Program:
    """A program in a sandbox of its own."""

    sandbox: Sandbox
    nameserver: str

    def run(self, *arguments: str) -> str:
        """Runs a `pulumi` command on the stack, and returns what it prints."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.sandbox.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"`pulumi {arguments[0]}` failed: {done.stdout}")
        return done.stdout

    def preview(self) -> Cost:
        """Measures a preview."""
        begun = time.monotonic()
        process = subprocess.Popen(
            self._command("preview"),
            cwd=self.sandbox.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        tree = largest = 0.0
        watched = threading.Event()

        def watch() -> None:
            nonlocal tree, largest
            while not watched.wait(SAMPLE_SECONDS):
                sizes = _memory_of_tree(process.pid)
                tree, largest = max(tree, sum(sizes)), max(largest, *sizes, 0)

        watcher = threading.Thread(target=watch)
        watcher.start()
        failed = process.wait()
        seconds = time.monotonic() - begun
        watched.set()
        watcher.join()
        if failed:
            raise SystemExit(f"`pulumi preview` failed in {self.sandbox.root}.")
        return Cost(seconds, tree, largest)

    def _command(self, *arguments: str) -> list[str]:
        pulumi = str(self.sandbox.engine / "pulumi")
        return [pulumi, *arguments, "--stack", STACK, "--non-interactive"]

    def _environment(self) -> dict[str, str]:
        return {**self.sandbox.environment(), "CLOUDDP_NAMESERVERS": self.nameserver}


def main() -> None:
    """Measures, and prints a table."""
    engine = pulumi_cli.ensure(Path(sys.executable))
    print("Previews of this program beside the same resources written plainly (medians).\n")
    print(f"{'':22}{'seconds':>17}{'':>8}{'MB, all processes':>21}{'MB, largest':>15}")
    print(f"{'distribution points':22}" + "    ours   plain   ratio" + "      ours   plain" * 2)
    taken: dict[str, dict[int, float]] = {"ours": {}, "plain": {}}
    with tempfile.TemporaryDirectory() as folder, no_names.served() as nameserver:
        for count, runs in RUNS.items():

            def make(name: str, count: int = count) -> Program:
                root = Path(folder) / f"{name}-{count}"
                root.mkdir()
                (root / ".venv").symlink_to(Path(sys.executable).parent.parent)
                sandbox = Sandbox(root=root, engine=engine, python=Path(sys.executable))
                return Program(sandbox, nameserver)

            ours, flat = make("ours"), make("plain")
            written = _write_ours(ours, count)
            _write_plain(flat, written)
            if count == min(RUNS):
                _insist_on_the_same(ours, flat)
            new = _in_turn(runs, ours.preview, flat.preview)
            _show(f"{count:>3}, all new", *new)
            taken["ours"][count], taken["plain"][count] = new[0].seconds, new[1].seconds
            if count < max(RUNS):
                for each in (ours, flat):
                    each.run("up", "--yes", "--skip-preview")
                _show(f"{count:>3}, unchanged", *_in_turn(runs, ours.preview, flat.preview))
    for name, seconds in taken.items():
        few, some, many = sorted(seconds)
        growth = (
            f"{(seconds[some] - seconds[few]) / (some - few):.2f} s from {few} to {some}, "
            f"{(seconds[many] - seconds[some]) / (many - some):.2f} s from {some} to {many}"
        )
        print(f"\nGrowth for each distribution point, {name}: {growth}", end="")
    imports = _in_turn(5, lambda: _importing(OUR_IMPORTS), lambda: _importing(PLAIN_IMPORTS))
    for (name, seconds), cost in zip(taken.items(), imports, strict=True):
        shares = ", ".join(f"{cost.seconds / took:.0%} of {n}" for n, took in seconds.items())
        print(f"\nImports, {name}: {cost.seconds:.1f} s: {shares}", end="")
    print()


def _write_ours(program: Program, count: int) -> list[dict[str, object]]:
    """Lays our program out, and finds out what it registers, in a copy that is deployed."""
    root = program.sandbox.root
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    names = [f"dp{number}.contoso.example" for number in range(1, count + 1)]
    folder = root / "certificates"
    folder.mkdir()
    points = []
    for name in names:
        pfx, _ = certificates.make(name, certificates.PASSWORD)
        (folder / f"{name}.pfx").write_bytes(pfx)
        certificate = {"pfxFile": f"certificates/{name}.pfx", "password": certificates.PASSWORD}
        points.append({"certificate": certificate})
    stack = yaml.safe_load((ROOT / f"Pulumi.{STACK}.yaml").read_text())
    del stack["config"]["clouddp:certificate"]
    stack["config"] |= {
        "clouddp:distributionPoints": points,
        "clouddp:readinessTimeoutMinutes": 0,
    }
    (root / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(stack))
    program.sandbox.prepare()
    preview = json.loads(program.run("preview", "--json"))
    program.run("up", "--yes", "--skip-preview")
    state = json.loads(program.run("stack", "export", "--show-secrets"))
    # Quicker than a destroy, for which the engine writes the whole state once for each resource.
    shutil.rmtree(program.sandbox.state)
    program.sandbox.prepare()
    return plain.resources(preview, state)


def _write_plain(program: Program, written: Sequence[object]) -> None:
    root = program.sandbox.root
    shutil.copyfile(ROOT / "bench" / "plain_program.py", root / "__main__.py")
    (root / "resources.json").write_text(json.dumps(written))
    runtime = {"name": "python", "options": {"virtualenv": ".venv"}}
    (root / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "plain", "runtime": runtime}))
    stack = yaml.safe_load((ROOT / f"Pulumi.{STACK}.yaml").read_text())
    salt = {"encryptionsalt": stack["encryptionsalt"]}
    (root / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(salt))
    program.sandbox.prepare()


def _insist_on_the_same(ours: Program, flat: Program) -> None:
    """Compares what both programs would create: else the measurement would say nothing."""
    asked = [plain.asked_for(json.loads(each.run("preview", "--json"))) for each in (ours, flat)]
    names = asked[0].keys() | asked[1].keys()
    if other := sorted(name for name in names if asked[0].get(name) != asked[1].get(name)):
        raise SystemExit(f"The plain program asks for something else: {other[0]}.")


def _in_turn(runs: int, *measures: Callable[[], Cost]) -> list[Cost]:
    """The medians of some commands, run in turn."""
    costs = [[measure() for measure in measures] for _ in range(runs)]
    return [
        Cost(*(statistics.median(getattr(cost, name) for cost in column) for name in FIGURES))
        for column in zip(*costs, strict=True)
    ]


FIGURES = ("seconds", "tree", "largest")


def _importing(statement: str) -> Cost:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
    return Cost(time.monotonic() - begun, 0, 0)


def _show(title: str, ours: Cost, flat: Cost) -> None:
    print(
        f"{title:22}{ours.seconds:8.1f}{flat.seconds:8.1f}{ours.seconds / flat.seconds:8.2f}"
        f"{ours.tree:10.0f}{flat.tree:8.0f}{ours.largest:10.0f}{flat.largest:8.0f}",
        flush=True,
    )


def _memory_of_tree(root: int) -> list[float]:
    """Memory (RSS) of a process and all below it, in MB."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes, todo = [], [root]
    while todo:
        process = Path("/proc") / str(todo.pop())
        try:
            sizes.append(int((process / "statm").read_text().split()[1]) * page / MB)
            for task in (process / "task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it has ended
    return sizes


if __name__ == "__main__":
    main()
