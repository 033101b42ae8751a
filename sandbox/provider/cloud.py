"""Azure Resource Manager as the sandbox has it: resources in one SQLite file.

Whoever talks to the database (the provider of each running command, the supervisor of the data
plane, tests) opens it with `Cloud(path)`; write-ahead logging and immediate transactions let them
do so at once. The tables are described in this package's docstring.
"""

# ruff: noqa: S105 (a type token is no password)
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from . import checks
from .checks import value, values
from .rules import CLOUDS, RULES, SUBSCRIPTION, TENANT, UNZONED, ZONED, Rule
from .schema import Checker

Body = dict[str, Any]

# Types whose changes the data plane has to carry out before the operation counts as done.
WAITED = frozenset({"compute:VirtualMachineScaleSet"})
WAIT_SECONDS = 20 * 60

_TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,
    revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resources_type ON resources(type);
CREATE TABLE IF NOT EXISTS refs (
    source TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (source, target)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refs_target ON refs(target);
CREATE TABLE IF NOT EXISTS deleted (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (dns TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS births (key TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL DEFAULT '*', operation TEXT NOT NULL DEFAULT '*',
    error TEXT, latency_ms INTEGER NOT NULL DEFAULT 0, times INTEGER);
CREATE TABLE IF NOT EXISTS operations (
    id INTEGER PRIMARY KEY, resource_id TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL);
"""


class Refusal(Exception):
    """What Azure answers to a request that it does not accept."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """`message` as Azure words it."""
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.code = code
        self.status = status


class NotDone(Exception):
    """The resource exists, but what had to follow its creation or update failed."""


def normal(location: str) -> str:
    """A region's name as Azure compares it: "West Europe" is "westeurope"."""
    return location.replace(" ", "").lower()


def merge(base: Any, more: Any) -> Any:
    """`base` with what `more` adds or overrides, object by object."""
    if isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{name: merge(base.get(name), item) for name, item in more.items()}}
    return more


def without(body: Body, paths: tuple[str, ...]) -> Body:
    """A copy without what stands at these paths."""
    copy = json.loads(json.dumps(body)) if paths else body
    for path in paths:
        parent, _, last = path.rpartition(".")
        for holder in list(values(copy, parent)):
            holder.pop(last, None)
    return copy


@dataclass(kw_only=True)
class Put:
    """One request to create or update a resource, as the checks see it."""

    cloud: Cloud
    token: str
    id: str
    new: Body
    old: Body | None
    suffixes: Mapping[str, str]
    birth: int = 0
    extra: Body = field(default_factory=dict)
    """Read-only outputs that a check worked out."""
    also: set[str] = field(default_factory=set)
    """Ids that it refers to, found by a check."""

    @property
    def key(self) -> str:
        """The id as Azure compares ids."""
        return self.id.lower()

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.id.rpartition("/")[2]

    @property
    def location(self) -> str:
        """The region, normalised; empty where the type has none."""
        return normal(str(self.new.get("location") or ""))

    def refuse(self, code: str, message: str, status: int = 400) -> NoReturn:
        """Ends the request as Azure does."""
        raise Refusal(code, message, status)

    def need(self, holds: bool, code: str, message: str, status: int = 400) -> None:
        """Refuses unless something holds."""
        if not holds:
            raise Refusal(code, message, status)

    def variables(self, path: str) -> dict[str, Any]:
        """What templates of read-only outputs may use; the same for the same resource's life."""
        seed = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.key}#{self.birth}#{path}")
        version = json.dumps(self.new, sort_keys=True).encode()
        return {
            **self.new,
            **self.suffixes,
            "id": self.id,
            "name": self.name,
            "tenant": TENANT,
            "location": self.location,
            "guid": seed,
            "hex": seed.hex,
            "tag": seed.hex[:4],
            "version": hashlib.sha256(version).hexdigest()[:32],
            "label": value(self.new, "dnsSettings.domainNameLabel", ""),
        }

    def computed(self, template: Any, path: str = "") -> Any:
        """A template of outputs, filled in."""
        if isinstance(template, str):
            return template.format_map(self.variables(path)) if "{" in template else template
        if isinstance(template, dict):
            return {n: self.computed(item, f"{path}.{n}") for n, item in template.items()}
        return template


class Cloud:
    """The state of the sandbox's Azure."""

    def __init__(self, path: Path) -> None:
        """Opens the database, and makes it when it is not there (readable by its owner only)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)
        self._faults: list[Any] = []
        self._faults_of = -1
        self.cancelled = threading.Event()
        with self.change():
            self._seed()

    @contextmanager
    def change(self) -> Generator[sqlite3.Connection]:
        """One transaction; taken back when it raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self._faults_of = -1  # this connection's own writes do not show in data_version

    def rows(self, sql: str, *parameters: object) -> list[Any]:
        """The rows of a query."""
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def _seed(self) -> None:
        """A new database has a DNS zone, as the organisation of the examples would."""
        if self.rows("SELECT 1 FROM settings WHERE name = 'seeded'"):
            return
        suffixes = CLOUDS["public"]
        group = {"resourceGroupName": "contoso-dns", "location": "westeurope"}
        self._put("resources:ResourceGroup", group, suffixes)
        zone = {**group, "zoneName": "contoso.example", "location": "global"}
        self._put("dns:Zone", zone, suffixes)
        self._db.execute("INSERT INTO settings VALUES ('seeded', 'yes')")

    # Reading

    def setting(self, name: str, default: str) -> str:
        """A row of the table `settings`."""
        found = self.rows("SELECT value FROM settings WHERE name = ?", name)
        return str(found[0][0]) if found else default

    def get(self, resource_id: str) -> tuple[str, str, Body] | None:
        """Type, id and body of a resource that exists."""
        found = self.rows("SELECT type, id, body FROM resources WHERE key = ?", resource_id.lower())
        return (found[0][0], found[0][1], json.loads(found[0][2])) if found else None

    def all(self, token: str, below: str = "") -> list[tuple[str, Body]]:
        """Id and body of all resources of a type, below an id."""
        found = self.rows(
            "SELECT id, body FROM resources WHERE type = ? AND key >= ? AND key < ? ORDER BY key",
            token,
            f"{below.lower()}/",
            f"{below.lower()}0",
        )
        return [(row[0], json.loads(row[1])) for row in found]

    def exists(self, resource_id: str) -> bool:
        """Whether an id names a resource, or a named object inside one, or a subscription."""
        if re.fullmatch(r"/subscriptions/[^/]+", resource_id) or self.get(resource_id):
            return True
        parent, kind, name = (*resource_id.rsplit("/", 2), "", "")[:3]
        owner = self.get(parent)
        if owner is None:
            return False
        if kind.lower() in ("blobservices", "fileservices", "queueservices", "tableservices"):
            return name == "default"
        lists = [child for child in RULES[owner[0]].children if child.lower() == kind.lower()]
        names = (item for child in lists for item in values(owner[2], f"{child}[].name"))
        return any(str(each).lower() == name.lower() for each in names)

    def outputs(self, checker: Checker, token: str, resource_id: str, body: Body) -> Body:
        """What a GET returns."""
        rule = RULES[token]
        seen: Body = {
            "type": arm_type(resource_id),
            "name": resource_id.rpartition("/")[2],
            "provisioningState": "Succeeded",
            **without(body, rule.write_only),
        }
        if "location" in seen and "." not in str(seen["location"]):
            seen["location"] = normal(str(seen["location"]))
        if token == "network:VirtualNetwork":
            below = self.all("network:Subnet", resource_id)
            seen["subnets"] = [{**subnet, "id": each} for each, subnet in below]
        for child in rule.children:
            seen[child] = [
                {
                    **item,
                    "id": f"{resource_id}/{child}/{item.get('name')}",
                    "provisioningState": "Succeeded",
                }
                for item in seen.get(child) or ()
            ]
        identities = value(seen, "identity.userAssignedIdentities")
        if isinstance(identities, list):
            known = {each: self.get(each) for each in identities}
            seen["identity"] = {
                **seen["identity"],
                "userAssignedIdentities": {
                    each: {n: row[2].get(n) for n in ("clientId", "principalId")} if row else {}
                    for each, row in known.items()
                },
            }
        return checker.outputs(token, seen, preview=False)

    def kind_of(self, resource_id: str) -> str:
        """The ARM type of an id."""
        return arm_type(resource_id)

    def users(self, target: str) -> list[str]:
        """Ids of the resources that refer to exactly this id."""
        return [
            row[0]
            for row in self.rows(
                "SELECT r.id FROM refs f JOIN resources r ON r.key = f.source WHERE f.target = ?",
                target.lower(),
            )
        ]

    def refuse(self, code: str, message: str, status: int = 400) -> NoReturn:
        """Ends a request as Azure does."""
        raise Refusal(code, message, status)

    # Changing

    def put(
        self,
        token: str,
        inputs: Body,
        suffixes: Mapping[str, str],
        *,
        update: bool = False,
        subscription: str = SUBSCRIPTION,
    ) -> tuple[str, Body]:
        """Creates or updates a resource.

        Raises:
            Refusal: Azure does not accept it.
            NotDone: it was accepted, and the data plane failed to follow.
        """
        with self.change():
            resource_id, body = self._put(
                token, inputs, suffixes, update=update, subscription=subscription
            )
            kind = "updated" if update else "created"
            operation = self._announce(token, resource_id, kind)
        self._wait(operation)
        return resource_id, body

    def _put(
        self,
        token: str,
        inputs: Body,
        suffixes: Mapping[str, str],
        *,
        update: bool = False,
        subscription: str = SUBSCRIPTION,
    ) -> tuple[str, Body]:
        rule = RULES[token]
        resource_id = identify(rule, inputs, subscription)
        found = self.get(resource_id)
        if found and not update and not rule.singleton:
            raise Refusal("", f"cannot create already existing resource '{resource_id}'")
        old = found[2] if found else None
        put = Put(
            cloud=self, token=token, id=resource_id, new=dict(inputs), old=old, suffixes=suffixes
        )
        self._check_place(put, rule)
        if old is not None:
            self._check_fixed(put, rule, old)
        elif rule.soft_delete:
            self._check_deleted(put, rule)
        self._check_locks(put.key, ("readonly",), "write")
        checks.common(put)
        targets = self._references(put, rule)
        checks.CHECKS.get(token, lambda _: None)(put)
        put.birth = self._birth(put.key, again=old is None)
        body = merge(merge(put.new, put.computed(dict(rule.computed))), put.extra)
        self._take_name(put, rule)
        self._store(token, resource_id, body, targets | put.also)
        if token == "network:VirtualNetwork" and "subnets" in inputs:
            self._inline_subnets(put, body)
        return resource_id, body

    def _store(self, token: str, resource_id: str, body: Body, targets: set[str]) -> None:
        key = resource_id.lower()
        self._db.execute(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?,"
            " (SELECT IFNULL(MAX(revision), 0) + 1 FROM resources))",
            (key, resource_id, token, json.dumps(body)),
        )
        self._db.execute("DELETE FROM refs WHERE source = ?", (key,))
        self._db.executemany("INSERT INTO refs VALUES (?, ?)", ((key, each) for each in targets))

    def _inline_subnets(self, put: Put, body: Body) -> None:
        """A network's own list of subnets is the whole truth: others are removed."""
        wanted = {f"{put.id}/subnets/{item.get('name')}": item for item in body.pop("subnets")}
        kept = {each.lower() for each in wanted}
        for each, _ in self.all("network:Subnet", put.id):
            if each.lower() not in kept:
                self._delete(each)
        for each, item in wanted.items():
            targets = {str(t).lower() for t in values(item, "networkSecurityGroup.id")}
            self._store("network:Subnet", each, item, targets)
        self._store(put.token, put.id, body, set())

    def _birth(self, key: str, *, again: bool) -> int:
        """How often a resource of this id was made: what is made again gets new identities."""
        if again:
            self._db.execute(
                "INSERT INTO births VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                (key,),
            )
        return int((self.rows("SELECT count FROM births WHERE key = ?", key) or [(1,)])[0][0])

    def _check_place(self, put: Put, rule: Rule) -> None:
        match = re.match(r"/subscriptions/([^/]+)", put.id)
        known = json.loads(self.setting("subscriptions", json.dumps([SUBSCRIPTION])))
        if match and match.group(1) not in known:
            put.refuse(
                "SubscriptionNotFound",
                f"The subscription '{match.group(1)}' could not be found.",
                404,
            )
        region = put.location
        if region not in ("", "global") and region not in ZONED | UNZONED:
            put.refuse(
                "LocationNotAvailableForResourceType",
                f"The provided location '{put.new['location']}' is not available for"
                f" resource type '{arm_type(put.id)}'.",
            )
        if put.token == "resources:ResourceGroup":
            return
        group = re.match(r"(/subscriptions/[^/]+/resourceGroups/([^/]+))/", put.id)
        if group and self.get(group.group(1)) is None:
            put.refuse(
                "ResourceGroupNotFound",
                f"Resource group '{group.group(2)}' could not be found.",
                404,
            )
        parent = put.id.rsplit("/", 2)[0]
        nested = arm_type(put.id).count("/") > 1 and not rule.path.startswith("/{")
        if nested and not self.exists(parent):
            put.refuse(
                "ParentResourceNotFound",
                "Failed to perform 'write' on resource(s) of type"
                f" '{arm_type(put.id).partition('/')[2]}', because the parent resource"
                f" '{parent}' could not be found.",
                404,
            )

    def _check_fixed(self, put: Put, rule: Rule, old: Body) -> None:
        was = normal(str(old.get("location") or ""))
        if was and put.location and was != put.location:
            group = value(put.new, "resourceGroupName", "")
            put.refuse(
                "InvalidResourceLocation",
                f"The resource '{put.name}' already exists in location '{was}' in resource"
                f" group '{group}'. A resource with the same name cannot be created in"
                f" location '{put.location}'. Please select a new resource name.",
                409,
            )
        for path, (code, message) in rule.fixed.items():
            before, after = value(old, path), value(put.new, path)
            if before is not None and after is not None and before != after:
                put.refuse(code, message.format(path=path, old=before, new=after, id=put.id), 409)

    def _check_deleted(self, put: Put, rule: Rule) -> None:
        """The name of a deleted vault is blocked, or takes the deleted one back."""
        assert rule.soft_delete is not None
        code, message = rule.soft_delete
        name = f"%/{put.name.lower()}"
        gone = self.rows(
            "SELECT key, body FROM deleted WHERE type = ? AND key LIKE ?", put.token, name
        )
        recover = str(value(put.new, "properties.createMode", "default")).lower() == "recover"
        if not gone:
            if recover:
                put.refuse(
                    "DeletedVaultNotFound",  # UNSURE: code and text
                    f"The deleted vault '{put.name}' could not be found.",
                    404,
                )
            return
        if code and not recover:
            put.refuse(code, message, 409)
        was = normal(str(json.loads(gone[0][1]).get("location") or ""))
        if gone[0][0] != put.key or was != put.location:
            put.refuse("Conflict", f"The name '{put.name}' is not unique", 409)
        if recover:
            # As it was: what else is sent has no effect (azure-rest-api-specs issue 21306).
            before = json.loads(gone[0][1])["properties"]
            put.new["properties"] = {**before, "createMode": "recover"}
        # The same resource again, with the same GUIDs.
        self._db.execute("UPDATE births SET count = count - 1 WHERE key = ?", (put.key,))
        self._db.execute(
            "INSERT INTO resources SELECT key, id, type, body,"
            " (SELECT IFNULL(MAX(revision), 0) + 1 FROM resources) FROM deleted"
            " WHERE key >= ? AND key < ?",
            (f"{put.key}/", f"{put.key}0"),
        )
        self._db.execute(
            "DELETE FROM deleted WHERE key = ? OR (key >= ? AND key < ?)",
            (put.key, f"{put.key}/", f"{put.key}0"),
        )

    def _check_locks(self, key: str, levels: tuple[str, ...], what: str) -> None:
        if "/providers/microsoft.authorization/locks/" in key:
            return  # or none could be taken off
        for lock, body in self.all("authorization:ManagementLockByScope"):
            scope = lock.lower().partition("/providers/microsoft.authorization/locks/")[0]
            if str(body.get("level")).lower() in levels and f"{key}/".startswith(f"{scope}/"):
                raise Refusal(
                    "ScopeLocked",
                    f"The scope '{key}' cannot perform {what} operation because following"
                    f" scope(s) are locked: '{scope}'. Please remove the lock and try again.",
                    409,
                )

    def _references(self, put: Put, rule: Rule) -> set[str]:
        """The ids that the request refers to, all of which must exist."""
        targets: set[str] = set()
        for path, kind in rule.refs:
            for target in values(put.new, path):
                where = f"/{str(target).strip('/')}" if path in ("scope", "resourceUri") else target
                if (
                    not str(where).startswith("/subscriptions/")
                    or f"/{kind}".lower() not in str(where).lower()
                ):
                    put.refuse(
                        "LinkedInvalidPropertyId",
                        f"Property id '{target}' at path '{path}' is invalid. Expect fully"
                        " qualified resource Id that start with '/subscriptions/{subscriptionId}'"
                        " or '/providers/{resourceProviderNamespace}/'.",
                    )
                if where.lower().startswith(f"{put.key}/"):
                    child, name = where[len(put.id) + 1 :].split("/", 1)
                    own = {str(each).lower() for each in values(put.new, f"{child}[].name")}
                    there = name.lower() in own
                else:
                    there = self.exists(where)
                    targets.add(where.lower())
                if not there or self._elsewhere(put, where, kind):
                    raise _missing(put, where)
        return targets

    def _elsewhere(self, put: Put, target: str, kind: str) -> bool:
        """Networks and what hangs on them must share a region."""
        owner = re.match(r"(.*?/providers/microsoft\.network/[^/]+/[^/]+)", target, re.I)
        found = self.get(owner.group(1)) if owner and kind else None
        there = normal(str(found[2].get("location") or "")) if found else ""
        return bool(there and put.location and there != put.location)

    def _take_name(self, put: Put, rule: Rule) -> None:
        """Names that are unique in all of Azure: the resource takes its own."""
        dns = rule.dns.format_map(put.variables("")).lower()
        self._db.execute("DELETE FROM names WHERE key = ?", (put.key,))
        if dns and not dns.startswith("."):
            if self.rows("SELECT 1 FROM names WHERE dns = ?", dns) and rule.taken:
                put.refuse(rule.taken.code, rule.taken.text.format(name=put.name, dns=dns), 409)
            self._db.execute("INSERT INTO names VALUES (?, ?)", (dns, put.key))

    def delete(self, resource_id: str) -> None:
        """Deletes a resource and all below it; one that is gone already is no error.

        Raises:
            Refusal: it is locked, or others need it.
            NotDone: the data plane failed to follow.
        """
        with self.change():
            token = self._delete(resource_id)
            operation = self._announce(token, resource_id, "deleted") if token else None
        self._wait(operation)

    def _delete(self, resource_id: str) -> str | None:
        found = self.get(resource_id)
        key = resource_id.lower()
        checks.deletable(self, resource_id, found[2] if found else None)
        if found is None:
            return None
        token, stored_id, body = found
        inside = [(key, token, stored_id, json.dumps(body))] + [
            tuple(row)
            for row in self.rows(
                "SELECT key, type, id, body FROM resources WHERE key >= ? AND key < ?",
                f"{key}/",
                f"{key}0",
            )
        ]
        for each, *_ in inside:
            self._check_locks(each, ("cannotdelete", "readonly"), "delete")
        self._check_unused(token, stored_id)
        kept = module = ""
        for each, kind, its_id, its_body in sorted(inside):
            if RULES[kind].soft_delete:
                kept, module = f"{each}/", kind.partition(":")[0]
            # What others keep below it, such as roles, does not come back with it.
            if kept and f"{each}/".startswith(kept) and kind.startswith(module):
                self._db.execute(
                    "INSERT OR REPLACE INTO deleted VALUES (?, ?, ?, ?)",
                    (each, its_id, kind, its_body),
                )
            self._db.execute("DELETE FROM refs WHERE source = ?", (each,))
            self._db.execute("DELETE FROM names WHERE key = ?", (each,))
            self._db.execute("DELETE FROM resources WHERE key = ?", (each,))
            if each != key:
                self._announce(kind, its_id, "deleted")
        return token

    def _check_unused(self, token: str, resource_id: str) -> None:
        rule, key = RULES[token], resource_id.lower()
        if rule.in_use is None:
            return
        users = self.rows(
            "SELECT r.id, r.type, f.target FROM refs f JOIN resources r ON r.key = f.source"
            " WHERE (f.target = ? OR (f.target >= ? AND f.target < ?)) AND f.source != ?"
            " AND NOT (f.source >= ? AND f.source < ?) ORDER BY r.key",
            key,
            f"{key}/",
            f"{key}0",
            key,
            f"{key}/",
            f"{key}0",
        )
        for user, kind, target in users:
            if kind not in rule.ignored_users:
                code, message = rule.in_use
                leaf = target.rpartition("/")[2]
                raise Refusal(code, message.format(id=resource_id, user=user, leaf=leaf))

    # The data plane, faults

    def _announce(self, token: str, resource_id: str, kind: str) -> int | None:
        if token not in WAITED or self.setting("data_plane", "off") != "on":
            return None
        return self._db.execute(
            "INSERT INTO operations (resource_id, kind, created) VALUES (?, ?, ?)",
            (resource_id, kind, time.time()),
        ).lastrowid

    def _wait(self, operation: int | None) -> None:
        """Until the supervisor has marked the operation done.

        Raises:
            NotDone: it failed, took more than 20 minutes, or the command was cancelled.
        """
        if operation is None:
            return
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end and not self.cancelled.is_set():
            state, message = self.rows(
                "SELECT state, message FROM operations WHERE id = ?", operation
            )[0]
            if state == "done":
                return
            if state == "failed":
                raise NotDone(message)
            if not self._followed():
                raise NotDone(
                    "the data plane of the sandbox has ended: `make up` starts it again and"
                    " does what is left to do"
                )
            self.cancelled.wait(0.1)
        raise NotDone("the data plane of the sandbox did not answer in time; see its log")

    def _followed(self) -> bool:
        """Whether somebody does the operations, as far as can be seen: holds the lock file."""
        try:
            with Path(self.setting("data_plane_lock", "")).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True  # held, or none is named
        return False

    def fault(self, token: str, operation: str, resource_id: str = "") -> None:
        """Waits and fails as the table `faults` says.

        Raises:
            Refusal: a row says so.
        """
        with self._lock:
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._faults_of:
                self._faults_of = version
                self._faults = self.rows(
                    "SELECT id, type, operation, error, latency_ms"
                    " FROM faults WHERE IFNULL(times, 1) > 0 ORDER BY id"
                )
        for number, kind, when, error, latency, *_ in self._faults:
            if not fnmatchcase(operation, when) or not (
                fnmatchcase(token, kind) or fnmatchcase(resource_id, kind)
            ):
                continue
            with self.change() as db:
                hit = db.execute(
                    "UPDATE faults SET times = times - 1 WHERE id = ? AND IFNULL(times, 1) > 0",
                    (number,),
                ).rowcount
            if hit and latency:
                self.cancelled.wait(latency / 1000)
            if hit and error:
                raise Refusal("InjectedFault", error, 500)


def _missing(put: Put, target: str) -> Refusal:
    """How Azure says that a resource referred to is not there."""
    if "/microsoft.network/" in target.lower():
        return Refusal(
            "InvalidResourceReference",
            f"Resource {target} referenced by resource {put.id} was not found. Please make sure"
            " that the referenced resource exists, and that both resources are in the same"
            " region.",
        )
    group = re.search(r"/resourceGroups/([^/]+)", target, re.I)
    kind, name = arm_type(target), target.rpartition("/")[2]
    return Refusal(
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group.group(1) if group else ''}'"
        " was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        404,
    )


def arm_type(resource_id: str) -> str:
    """The ARM type of an id: "Microsoft.Network/virtualNetworks/subnets"."""
    _, provided, tail = resource_id.rpartition("/providers/")
    parts = tail.split("/")
    if not provided:
        return "Microsoft.Resources/resourceGroups"
    return "/".join([parts[0], *parts[1::2]])


def identify(rule: Rule, inputs: Mapping[str, Any], subscription: str) -> str:
    """The ARM id that the provider builds from the inputs."""

    def part(match: re.Match[str]) -> str:
        name = match.group(1)
        return subscription if name == "subscriptionId" else str(inputs.get(name, "")).strip("/")

    return re.sub(r"\{(\w+)\}", part, rule.path)


def parts(rule: Rule, resource_id: str) -> dict[str, str]:
    """The other way: the path's inputs in an id, or nothing when it is another type's."""
    pattern = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m.group(1)}>[^/]+)", rule.path)
    pattern = pattern.replace("/(?P<scope>[^/]+)", "/(?P<scope>.+)")
    pattern = pattern.replace("/(?P<resourceUri>[^/]+)", "/(?P<resourceUri>.+)")
    match = re.fullmatch(pattern, resource_id, re.I)
    return match.groupdict() if match else {}
