"""Changes the sandbox's Azure as somebody else than the stack would: drift, faults, settings.

    python -m sandbox.provider list
    python -m sandbox.provider set ID PATH JSON      change one property; `refresh` sees it
    python -m sandbox.provider put TYPE JSON         make a resource ("resources:ResourceGroup")
    python -m sandbox.provider delete ID
    python -m sandbox.provider purge NAME            forget a deleted vault or workspace for good
    python -m sandbox.provider taken DNS             a name that somebody else owns
    python -m sandbox.provider setting NAME VALUE
    python -m sandbox.provider fault TYPE OPERATION [--error TEXT] [--latency MS] [--times N]

The database is the one that CLOUDDP_SANDBOX_DB names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from .cloud import Cloud, NotDone, Refusal
from .rules import CLOUDS, RULES


def change(cloud: Cloud, resource_id: str, path: str, new: Any) -> None:
    """Sets one property of a resource behind the stack's back; null removes it.

    Raises:
        KeyError: there is no such resource, or nothing at the path's beginning.
    """
    with cloud.change() as database:
        found = cloud.get(resource_id)
        if found is None:
            raise KeyError(f"no resource {resource_id} in the sandbox")
        holder: Any = found[2]
        *steps, last = path.split(".")
        for step in steps:
            holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
        if new is None:
            holder.pop(last, None)
        else:
            holder[int(last) if isinstance(holder, list) else last] = new
        database.execute(
            "UPDATE resources SET body = ?,"
            " revision = (SELECT MAX(revision) + 1 FROM resources) WHERE key = ?",
            (json.dumps(found[2]), resource_id.lower()),
        )


def main(arguments: list[str]) -> None:
    """The command line.

    Raises:
        SystemExit: wrong arguments, or Azure refuses.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.provider",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, names in {
        "list": (),
        "set": ("id", "path", "json"),
        "put": ("type", "json"),
        "delete": ("id",),
        "purge": ("name",),
        "taken": ("dns",),
        "setting": ("name", "value"),
        "fault": ("type", "operation"),
    }.items():
        sub = commands.add_parser(command)
        for name in names:
            sub.add_argument(name)
        if command == "fault":
            sub.add_argument("--error")
            sub.add_argument("--latency", type=int, default=0, metavar="MS")
            sub.add_argument("--times", type=int)
    asked = parser.parse_args(arguments)
    database = os.environ.get("CLOUDDP_SANDBOX_DB")
    if not database:
        parser.error("CLOUDDP_SANDBOX_DB does not name the sandbox's database")
    try:
        _run(Cloud(Path(database)), asked)
    except (Refusal, NotDone, KeyError, ValueError) as problem:
        sys.exit(str(problem))


def _run(cloud: Cloud, asked: argparse.Namespace) -> None:
    if asked.command == "list":
        for kind, each in cloud.rows("SELECT type, id FROM resources ORDER BY key"):
            print(f"{kind:40} {each}")
    elif asked.command == "set":
        change(cloud, asked.id, asked.path, json.loads(asked.json))
    elif asked.command == "put":
        if asked.type not in RULES:
            raise ValueError(f"the sandbox does not know the type {asked.type}")
        print(cloud.put(asked.type, json.loads(asked.json), CLOUDS["public"])[0])
    elif asked.command == "delete":
        cloud.delete(asked.id)
    else:
        statement, parameters = {
            "purge": (
                "DELETE FROM deleted WHERE key LIKE ? OR key LIKE ?",
                lambda: (f"%/{asked.name.lower()}", f"%/{asked.name.lower()}/%"),
            ),
            "taken": ("INSERT INTO names VALUES (?, '')", lambda: (asked.dns.lower(),)),
            "setting": (
                "INSERT OR REPLACE INTO settings VALUES (?, ?)",
                lambda: (asked.name, asked.value),
            ),
            "fault": (
                "INSERT INTO faults VALUES (NULL, ?, ?, ?, ?, ?)",
                lambda: (asked.type, asked.operation, asked.error, asked.latency, asked.times),
            ),
        }[asked.command]
        with cloud.change() as db:
            db.execute(statement, parameters())
