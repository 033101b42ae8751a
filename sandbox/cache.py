"""The folder in the user's home where what takes long to get is kept, for all checkouts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path

from sandbox.terminal import Problem, Step, say

LOG_LINES_SHOWN = 12


def folder() -> Path:
    """Return the cache folder, `~/.cache/clouddp` unless `XDG_CACHE_HOME` says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "clouddp"


def digest(words: Iterable[str], files: Iterable[Path]) -> str:
    """Return twelve hexadecimal digits that change with any word, file name or file content."""
    total = hashlib.sha256()
    for word in words:
        total.update(word.encode() + b"\0")
    for path in sorted(files):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Generator[None]:
    """Hold a lock that other processes honour and that ends with this process.

    Args:
        path: The lock file; made if it is missing.
        waiting: What to say when another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cached folder of that name, made first if it is missing or half made.

    It is made where it stays, since a virtual environment cannot be moved, and counts as whole
    once its mark is there: `make` was interrupted if it is not.

    Args:
        name: The folder's name, with a digest of all that it is made from.
        make: Fills the folder, which is empty then.
    """
    target = folder() / name
    mark = target / ".complete"
    if mark.exists():
        return target
    waiting = f"Another process is making {name}; waiting for it ..."
    with locked(folder() / f"{name}.lock", waiting):
        if not mark.exists():
            if target.exists():
                say(f"{target} is half made; it is made again.")
                shutil.rmtree(target)
            target.mkdir(parents=True)
            make(target)
            mark.touch()
    return target


def run_logged(
    title: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    failure: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    detail: Callable[[], str] | None = None,
) -> None:
    """Run a command that takes a while, its output in a log, its progress on the screen.

    Raises:
        Problem: The command failed; its last lines and the log's path are in the sentence.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with Step(title, detail), log.open("ab") as output:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            shown = "\n".join(f"    {line}" for line in lines)
            raise Problem(f"{failure} The end of {log}:\n{shown}")
