"""The logs of nginx: its errors go to the journal without tokens, the access log is kept short."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from pathlib import Path

from .journal import WARNING, say
from .places import Places

MESSAGE_BYTES = 65536
TOKEN = re.compile(r"(token=)[^&\s\"]+", re.IGNORECASE)
# Priority, time and tag, as nginx sends them.
SYSLOG_PREFIX = re.compile(r"^<\d+>.{15} nginx: ")
ACCESS_LOG_BYTES = 64_000_000
ACCESS_LOGS_KEPT = 4


def redacted(line: str) -> str:
    """A message of nginx without the tokens that a request line may carry."""
    return TOKEN.sub(r"\1...", SYSLOG_PREFIX.sub("", line))


def listen(places: Places) -> None:
    """Begins to pass on nginx's messages, in a thread that ends with the agent."""
    path = places.run / "errors.sock"
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    path.chmod(0o666)
    threading.Thread(target=_pass_on, args=(receiver,), daemon=True).start()


def _pass_on(receiver: socket.socket) -> None:
    while True:
        line = receiver.recv(MESSAGE_BYTES).decode(errors="replace")
        say(f"nginx: {redacted(line)}", WARNING)


def rotated(log: Path) -> list[Path]:
    """The names that older access logs have, the newest first."""
    return [log.with_name(f"{log.name}.{number}") for number in range(1, ACCESS_LOGS_KEPT + 1)]


def rotate(places: Places) -> None:
    """Begins a new access log where the old one has grown long."""
    log = places.logs / "access.log"
    try:
        if log.stat().st_size < ACCESS_LOG_BYTES:
            return
    except FileNotFoundError:
        return
    kept = rotated(log)
    for older, newer in zip(reversed(kept), reversed([log, *kept[:-1]]), strict=True):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int((places.run / "nginx.pid").read_text()), signal.SIGUSR1)
