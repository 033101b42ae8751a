"""A mock engine that remembers what a program registered, and with which options.

    recorder = run(lambda: ServiceNetwork("one", args))
    recorder.one("azure-native:network:LoadBalancer").inputs["sku"]

Each run has an event loop, a mock engine and a context of its own, so that no test sees another's
resources. What a mock engine does not imitate (unknown values in a preview, what Azure refuses)
belongs in the tests on the real engine.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pulumi
from pulumi.runtime import rpc, set_all_config, set_mocks
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import ROOT, SETTINGS
from pulumi.runtime.stack import run_in_stack

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
TENANT = "00000000-0000-4000-8000-000000000002"
PRINCIPAL = "00000000-0000-4000-8000-000000000003"
CLIENT = "00000000-0000-4000-8000-000000000004"
ADDRESS = "203.0.113.10"
"""An address of TEST-NET-3, which RFC 5737 keeps for documentation."""

LIMIT = 60.0
"""Seconds that one run may take; a run takes well under one."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One resource as the engine was asked for it."""

    type: str
    """Type token, e.g. `azure-native:network:LoadBalancer`."""
    name: str
    """Logical name."""
    urn: str
    parent: str
    """URN of its parent; the stack's for a resource at the top."""
    custom: bool
    """False for a component."""
    inputs: dict[str, Any]
    """Inputs in camel case, secrets unwrapped, as the provider would get them."""
    secrets: frozenset[str]
    """Names of the top-level inputs that hold a secret anywhere."""
    waits_for: frozenset[str]
    """Logical names of the resources that must exist first."""
    delete_before_replace: bool
    replace_on_changes: frozenset[str]
    replaced_with: frozenset[str]
    """Logical names of the resources whose replacement is its own too."""
    ignore_changes: frozenset[str]
    protect: bool
    retain_on_delete: bool
    deleted_with: str
    """URN, or an empty string."""
    timeouts: dict[str, str]
    """`create`, `update` and `delete`, where set, as the engine spells them (`30m`)."""
    provider: str
    aliases: int
    """How many aliases were sent."""


class Call(NamedTuple):
    """One call of a provider's function."""

    token: str
    args: dict[str, Any]


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Answers as Azure might, and remembers what was asked.

    Attributes:
        answers: what a function answers, by token; an unlisted one answers with nothing.
        outputs: outputs to add, by type token, over those that the recorder makes up.
    """

    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: list[Recorded] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """What the program logged, secrets and all."""
    component_outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each component registered as its outputs, by logical name."""
    exports: dict[str, Any] = field(default_factory=dict)
    """What the program exported, secrets unwrapped."""
    secret_exports: frozenset[str] = frozenset()
    result: Any = None
    """What the program returned, with its Outputs resolved."""

    def named(self, name: str) -> Recorded:
        """The one resource of this logical name."""
        return self._only([found for found in self.resources if found.name == name], name)

    def one(self, token: str) -> Recorded:
        """The one resource of this type."""
        return self._only(self.all(token), token)

    def all(self, token: str) -> list[Recorded]:
        """Every resource of this type, in the order of registration."""
        return [found for found in self.resources if found.type == token]

    def _only(self, found: list[Recorded], wanted: str) -> Recorded:
        if len(found) == 1:
            return found[0]
        had = ", ".join(sorted(f"{each.name} ({each.type})" for each in self.resources))
        raise AssertionError(f"{len(found)} resources for {wanted} among: {had}")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The id and the outputs of a new resource: its inputs, and what Azure would fill in."""
        if not args.custom:
            return "", {}
        plain, _ = _unwrap(args.inputs)
        made_up = {**_made_up(args.typ, plain), **self.outputs.get(args.typ, {})}
        return _resource_id(args.typ, args.name, plain), _merge(args.inputs, made_up)

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The answer of a provider's function, and no failures."""
        self.calls.append(Call(args.token, args.args))
        answer = self.answers.get(args.token)
        return dict(answer if answer is not None else _ANSWERS.get(args.token, {})), []


def run(
    program: Callable[[], Any],
    *,
    recorder: Recorder | None = None,
    preview: bool = False,
    project: str = "clouddp",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    secret_keys: tuple[str, ...] = (),
) -> Recorder:
    """Runs a program against a mock engine to its end.

    Args:
        program: registers resources; what it returns (Outputs included) becomes `result`.
        recorder: one with answers of its own.
        preview: whether `pulumi.runtime.is_dry_run()` says so.
        project: the project's name.
        stack: the stack's name.
        config: the stack's configuration, keys with their namespace (`clouddp:region`).
        secret_keys: those keys of `config` that are secret.

    Returns:
        The recorder, with all that was registered.

    Raises:
        Exception: whatever the program raised.
    """
    recorder = recorder if recorder is not None else Recorder()

    def isolated() -> None:
        with _event_loop() as loop:
            set_all_config(dict(config or {}), list(secret_keys))
            set_mocks(
                recorder,
                project=project,
                stack=stack,
                preview=preview,
                logger=_logger(recorder.messages),
                monitor=_Monitor(recorder),
            )
            ROOT.set(None)  # set_mocks made a stack whose outputs are registered already
            SETTINGS.outputs = set()  # what an earlier program that failed was waiting for

            async def body() -> None:
                recorder.result = await pulumi.Output.from_input(program()).future()

            loop.run_until_complete(asyncio.wait_for(run_in_stack(body), LIMIT))

    contextvars.Context().run(isolated)
    return recorder


def _logger(messages: list[str]) -> logging.Logger:
    """Keeps what the program logs, whatever its severity."""

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.Logger("program")
    logger.addHandler(Keeper())
    return logger


@contextmanager
def _event_loop() -> Generator[asyncio.AbstractEventLoop]:
    """An event loop for this thread, closed at the end (the SDK makes one and leaves it open)."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        # A program that failed leaves calls and tasks behind, which would end in another test.
        loop.run_until_complete(loop.shutdown_default_executor())
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        asyncio.set_event_loop(None)


class _Monitor(MockMonitor):
    """The SDK's mock engine, which tells its mocks no resource option: this one does.

    The SDK calls it in worker threads, where it needs an event loop.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        with _event_loop():
            response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.recorder.resources.append(_recorded(request, response.urn))
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        plain, secrets = _unwrap(rpc.deserialize_properties(request.outputs))
        _, _, typ, name = request.urn.split("::")
        if typ.endswith("pulumi:pulumi:Stack"):
            self.recorder.exports.update(plain)
            self.recorder.secret_exports |= secrets
        else:
            self.recorder.component_outputs[name] = plain
        return super().RegisterResourceOutputs(request)

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        with _event_loop():
            return super().Invoke(request)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        with _event_loop():
            return super().ReadResource(request)


def _recorded(request: Any, urn: str) -> Recorded:
    inputs, secrets = _unwrap(rpc.deserialize_properties(request.object))
    timeouts = request.customTimeouts
    return Recorded(
        type=request.type,
        name=request.name,
        urn=urn,
        parent=request.parent,
        custom=request.custom,
        inputs=inputs,
        secrets=secrets,
        waits_for=_logical_names(request.dependencies),
        delete_before_replace=request.deleteBeforeReplace,
        replace_on_changes=frozenset(request.replaceOnChanges),
        replaced_with=_logical_names(request.replace_with),
        ignore_changes=frozenset(request.ignoreChanges),
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        timeouts={
            each: getattr(timeouts, each)
            for each in ("create", "update", "delete")
            if getattr(timeouts, each)
        },
        provider=request.provider,
        aliases=len(request.aliases) + len(request.aliasURNs),
    )


def _logical_names(urns: Iterable[str]) -> frozenset[str]:
    return frozenset(urn.rsplit("::", 1)[1] for urn in urns)


def _unwrap(properties: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Properties without their secret wrappers, and the names of those that had one."""
    opened = {name: _open(value) for name, value in properties.items()}
    return (
        {name: value for name, (value, _) in opened.items()},
        frozenset(name for name, (_, secret) in opened.items() if secret),
    )


def _open(value: Any) -> tuple[Any, bool]:
    if rpc.is_rpc_secret(value):
        return _open(rpc.unwrap_rpc_secret(value))[0], True
    if isinstance(value, Mapping):
        plain, secrets = _unwrap(value)
        return plain, bool(secrets)
    if isinstance(value, list):
        opened = [_open(each) for each in value]
        return [each for each, _ in opened], any(secret for _, secret in opened)
    return value, False


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with the values of `over`, object by object."""
    merged = dict(under)
    for name, value in over.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _merge(old, value) if both else value
    return merged


_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "azure-native:authorization:getClientConfig": {
        "clientId": CLIENT,
        "objectId": PRINCIPAL,
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
    "azure-native:keyvault:getVault": {"properties": {"enableRbacAuthorization": True}},
    "azure-native:managedidentity:getUserAssignedIdentity": {
        "principalId": PRINCIPAL,
        "clientId": CLIENT,
        "tenantId": TENANT,
    },
}


def _resource_id(token: str, logical: str, inputs: Mapping[str, Any]) -> str:
    """An id of the form that Azure gives: the kind of resource is the last part of the token."""
    package, module, kind = token.split(":")
    if package != "azure-native":
        return f"{logical}-id"
    if kind == "ResourceGroup":
        group = inputs.get("resourceGroupName", logical)
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
    name = _physical_name(kind, logical, inputs)
    scope = inputs.get("scope")
    group = inputs.get("resourceGroupName", "no-group")
    above = scope if scope else f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
    return f"{above}/providers/Microsoft.{module.capitalize()}/{_plural(kind)}/{name}"


def _plural(kind: str) -> str:
    """`PublicIPAddress` -> `publicIPAddresses`."""
    stem = kind[0].lower() + kind[1:]
    if stem.endswith("y"):
        return f"{stem[:-1]}ies"
    return f"{stem}es" if stem.endswith("s") else f"{stem}s"


def _physical_name(kind: str, logical: str, inputs: Mapping[str, Any]) -> str:
    """The input that names the resource: `<kind>Name` or its end, else the only one there is."""
    names = {key: value for key, value in inputs.items() if key.endswith("Name")}
    for key, value in names.items():
        if f"{kind}Name".lower().endswith(key.lower()):
            return str(value)
    names.pop("resourceGroupName", None)
    return str(next(iter(names.values()))) if len(names) == 1 else logical


def _made_up(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What Azure fills in, for the kinds of resource whose outputs others read."""
    kind = token.rsplit(":", 1)[1]
    name = _physical_name(kind, "unnamed", inputs)
    region = inputs.get("location", "westeurope")
    made_up: dict[str, Any] = {"name": name} if token.startswith("azure-native:") else {}
    if kind == "UserAssignedIdentity":
        made_up |= {"principalId": PRINCIPAL, "clientId": CLIENT, "tenantId": TENANT}
    elif (inputs.get("identity") or {}).get("userAssignedIdentities"):
        one = {"principalId": PRINCIPAL, "clientId": CLIENT}
        assigned = inputs["identity"]["userAssignedIdentities"]
        made_up["identity"] = {"userAssignedIdentities": dict.fromkeys(assigned, one)}
    elif kind == "PublicIPAddress":
        label = (inputs.get("dnsSettings") or {}).get("domainNameLabel", name)
        made_up |= {
            "ipAddress": ADDRESS,
            "dnsSettings": {"fqdn": f"{label}.{region}.cloudapp.azure.com"},
        }
    elif kind == "StorageAccount":
        made_up["primaryEndpoints"] = {"blob": f"https://{name}.blob.core.windows.net/"}
    elif kind == "Vault":
        made_up["properties"] = {"vaultUri": f"https://{name}.vault.azure.net/"}
    elif kind == "Secret":
        uri = f"https://{inputs.get('vaultName')}.vault.azure.net/secrets/{name}"
        made_up["properties"] = {"secretUri": uri, "secretUriWithVersion": f"{uri}/0123456789"}
    elif kind == "Workspace":
        made_up["customerId"] = TENANT
    elif kind == "DataCollectionEndpoint":
        endpoint = f"https://{name}-0123.{region}-1.ingest.monitor.azure.com"
        made_up["logsIngestion"] = {"endpoint": endpoint}
    elif kind == "DataCollectionRule":
        made_up["immutableId"] = "dcr-00000000000000000000000000000001"
    return made_up
