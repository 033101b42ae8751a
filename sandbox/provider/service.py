"""The provider's side of Pulumi's protocol, over the sandbox's Azure.

Behaves as pulumi-azure-native 3.29 does (provider/pkg/provider/provider.go and diff.go in
pulumi/pulumi-azure-native): it takes no secrets, so the engine keeps marking them by name; it adds
`azureApiVersion`, the group's region and random names in Check; in a preview all outputs but known
inputs are unknown; a replacement of its own deletes first.
"""

# ruff: noqa: S105, N802, D102, ARG002 (tokens are no passwords; the protocol names the methods)
from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from . import rules
from .cloud import Body, Cloud, NotDone, Refusal, identify, normal, parts
from .rules import RULES, Rule
from .schema import Checker, is_unknown, load, nearest

VERSION = "3.29.0"
# Made when the module is loaded, which the type checker does not see.
_STRUCT: Any = vars(struct_pb2)["Struct"]
_EMPTY: Any = vars(empty_pb2)["Empty"]
_PREFIX = "azure-native:"
_KINDS = provider_pb2.PropertyDiff


def plain(message: Any) -> Any:
    """A protobuf value as Python's own, without nulls; whole numbers as int."""
    if isinstance(message, _STRUCT):
        fields = ((name, plain(item)) for name, item in message.fields.items())
        return {name: item for name, item in fields if item is not None}
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "struct_value":
        return plain(message.struct_value)
    if kind == "list_value":
        return [plain(item) for item in message.list_value.values]
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    return message.bool_value if kind == "bool_value" else None


def struct(values: Mapping[str, Any]) -> Any:
    """The way back."""
    message = _STRUCT()
    message.update(values)
    return message


def differences(
    old: Any, new: Any, forcing: frozenset[str], at: str = "", rule: str = ""
) -> Iterable[tuple[str, int]]:
    """(path, kind) of each change, as diff.go in pulumi-azure-native's provider works them out."""
    if isinstance(old, dict) and isinstance(new, dict):
        dot = "." if at else ""
        for name in old.keys() | new.keys():
            path, key = f"{at}{dot}{name}", f"{rule}{dot}{name}"
            if name in old and name in new:
                for where, kind in differences(old[name], new[name], forcing, path, key):
                    forced = kind == _KINDS.UPDATE and key in forcing
                    yield where, _KINDS.UPDATE_REPLACE if forced else kind
            elif name in new:
                yield path, _KINDS.ADD_REPLACE if key in forcing else _KINDS.ADD
            else:
                yield path, _KINDS.DELETE_REPLACE if key in forcing else _KINDS.DELETE
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            path = f"{at}[{index}]"
            if index >= len(old):
                yield path, _KINDS.ADD
            elif index >= len(new):
                yield path, _KINDS.DELETE
            else:
                yield from differences(old[index], new[index], forcing, path, f"{rule}[]")
    elif old != new:
        yield at, _KINDS.UPDATE_REPLACE if rule in forcing else _KINDS.UPDATE


def refreshed(inputs: Any, old: Any, new: Any) -> Any:
    """Old inputs with what changed between old and new outputs (applyDiff in diff.go)."""
    if isinstance(inputs, dict) and isinstance(old, dict) and isinstance(new, dict):
        result = {name: item for name, item in inputs.items() if name not in old or name in new}
        for name, item in new.items():
            if name not in old:
                result[name] = item
            elif old[name] != item:
                result[name] = refreshed(inputs.get(name), old[name], item)
        return result
    if isinstance(inputs, list) and isinstance(old, list) and isinstance(new, list):
        known = min(len(inputs), len(old))
        return [
            refreshed(inputs[i], old[i], item)
            if i < known and old[i] != item
            else inputs[i]
            if i < known
            else item
            for i, item in enumerate(new)
        ]
    if isinstance(inputs, list) and isinstance(new, dict):
        return list(new)
    return new


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """pulumi-resource-azure-native, on the sandbox."""

    def __init__(self, cloud: Cloud, engine: str | None = None) -> None:
        """`engine`: address of the engine's own service, for messages on the screen."""
        self.cloud = cloud
        self.engine = engine
        self.checker = Checker(load(RULES), rules.EXTRA_VALUES)
        self.config: dict[str, str] = {}
        self._forcing = {
            token: frozenset((*rule.force_new, *_path_inputs(rule)))
            for token, rule in RULES.items()
        }

    # Configuration

    @property
    def subscription(self) -> str:
        """The subscription that the stack says, or the only one of a new sandbox."""
        return self.config.get("subscriptionId") or rules.SUBSCRIPTION

    @property
    def suffixes(self) -> Mapping[str, str]:
        """The domains of the cloud that the stack says."""
        said = self.config.get("environment", "public").lower()
        return rules.CLOUDS.get({"usgov": "usgovernment"}.get(said, said), rules.CLOUDS["public"])

    def Handshake(self, request: Any, context: Any) -> Any:
        self.engine = request.engine_address or self.engine
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        variables = {name.rpartition(":")[2]: text for name, text in request.variables.items()}
        self.config = {**{n: str(v) for n, v in plain(request.args).items()}, **variables}
        self._say("This is the sandbox: nothing reaches Azure, and nothing costs money.")
        return provider_pb2.ConfigureResponse(
            supportsPreview=True, supports_autonaming_configuration=True
        )

    def _say(self, text: str) -> None:
        """A warning line on the screen of whoever runs the command."""
        if not self.engine:
            return
        with grpc.insecure_channel(self.engine) as channel:
            stub = engine_pb2_grpc.EngineStub(channel)
            stub.Log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text), timeout=10)

    def Attach(self, request: Any, context: Any) -> Any:
        self.engine = request.address
        return _EMPTY()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the sandbox's azure-native has no schema")

    def GetMapping(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetMappingResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        self.cloud.cancelled.set()
        return _EMPTY()

    # Resources

    def Check(self, request: Any, context: Any) -> Any:
        token, rule = self._type(request.urn, context)
        self._fault(context, token, "check")
        news = plain(request.news)
        before = dict(news)
        self._defaults(token, rule, news, plain(request.olds), request)
        wrong = list(self.checker.inputs(token, news))
        wrong += _name_failures(rule, news)
        news["azureApiVersion"] = self.checker.schema["resources"][token]["version"]
        inputs = _STRUCT()
        inputs.CopyFrom(request.news)
        inputs.update({n: item for n, item in news.items() if n not in before})
        return provider_pb2.CheckResponse(
            inputs=inputs,
            failures=[provider_pb2.CheckFailure(reason=why) for _, why in wrong],
        )

    def _defaults(self, token: str, rule: Rule, news: Body, olds: Body, request: Any) -> None:
        """Name and region, where the program leaves them out."""
        shape = self.checker.schema["resources"][token]["in"]
        last = _path_inputs(rule)[-1]
        if last not in news and not rule.singleton:
            if last in olds:
                news[last] = olds[last]
                made_up = olds.get("__createBeforeDelete", False)
            else:
                drawn = hashlib.sha256(request.randomSeed or os.urandom(16)).hexdigest()
                proposed = request.autonaming.proposed_name
                news[last] = (
                    str(uuid.UUID(drawn[:32]))
                    if rule.auto == "uuid"
                    else proposed or f"{request.urn.rpartition('::')[2]}{drawn[:8]}"
                )
                made_up = True
            if made_up:
                news["__createBeforeDelete"] = True
        if "location" in shape and "location" not in news:
            group = news.get("resourceGroupName")
            if "location" in olds:
                news["location"] = olds["location"]
            elif "location" in self.config:
                news["location"] = self.config["location"]
            elif is_unknown(group):
                news["location"] = group
            elif group:
                found = self.cloud.get(f"/subscriptions/{self.subscription}/resourceGroups/{group}")
                if found:
                    news["location"] = found[2]["location"]

    def Diff(self, request: Any, context: Any) -> Any:
        if request.old_inputs == request.news:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        token, _ = self._type(request.urn, context)
        self._fault(context, token, "diff", request.id)
        old, new = plain(request.old_inputs), plain(request.news)
        for each in (old, new):
            if isinstance(each.get("location"), str) and not is_unknown(each["location"]):
                each["location"] = normal(each["location"])
        detail = dict(differences(old, new, self._forcing[token]))
        if not detail:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        replaces = sorted(
            path
            for path, kind in detail.items()
            if kind in (_KINDS.ADD_REPLACE, _KINDS.DELETE_REPLACE, _KINDS.UPDATE_REPLACE)
        )
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and not old.get("__createBeforeDelete", False),
            diffs=sorted({path.split(".")[0].split("[")[0] for path in detail}),
            detailedDiff={path: _KINDS(kind=kind, inputDiff=True) for path, kind in detail.items()},
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        token, _ = self._type(request.urn, context)
        inputs = self._own(request.properties)
        if request.preview:
            outputs = self.checker.outputs(token, inputs, preview=True)
            return provider_pb2.CreateResponse(properties=struct(outputs))

        def run() -> Any:
            resource_id, body = self.cloud.put(
                token, inputs, self.suffixes, subscription=self.subscription
            )
            outputs = self._outputs(token, resource_id, body)
            return provider_pb2.CreateResponse(id=resource_id, properties=outputs)

        return self._do(context, token, "create", request.properties, inputs, run)

    def Update(self, request: Any, context: Any) -> Any:
        token, _ = self._type(request.urn, context)
        inputs = self._own(request.news)
        if request.preview:
            known = self.checker.outputs(token, inputs, preview=True)
            was = plain(request.olds)
            known |= {name: was[name] for name in ("name", "location") if name in was}
            return provider_pb2.UpdateResponse(properties=struct(known))

        def run() -> Any:
            resource_id, body = self.cloud.put(
                token, inputs, self.suffixes, update=True, subscription=self.subscription
            )
            outputs = self._outputs(token, resource_id, body)
            return provider_pb2.UpdateResponse(properties=outputs)

        return self._do(context, token, "update", request.news, inputs, run, request.id)

    def Delete(self, request: Any, context: Any) -> Any:
        token, _ = self._type(request.urn, context)

        def run() -> Any:
            self.cloud.delete(request.id)
            return _EMPTY()

        return self._do(context, token, "delete", request.old_inputs, {}, run, request.id)

    def Read(self, request: Any, context: Any) -> Any:
        token, rule = self._type(request.urn, context)
        self._fault(context, token, "read", request.id)
        found = self.cloud.get(request.id)
        if found is None or found[0] != token:
            return provider_pb2.ReadResponse()
        _, resource_id, body = found
        new = self.cloud.outputs(self.checker, token, resource_id, body)
        shape = self.checker.schema["resources"][token]["in"]
        if request.inputs.fields:
            inputs = plain(request.inputs)
            # Subnets made beside a network whose program names none are not the program's.
            beside = token == "network:VirtualNetwork" and "subnets" not in inputs
            old, seen = (
                {name: item for name, item in each.items() if not (beside and name == "subnets")}
                for each in (plain(request.properties), new)
            )
            inputs = refreshed(
                inputs, self.checker.inputs_of(shape, old), self.checker.inputs_of(shape, seen)
            )
        else:
            inputs = {
                **self.checker.inputs_of(shape, new),
                **{n: v for n, v in parts(rule, resource_id).items() if n != "subscriptionId"},
                "azureApiVersion": self.checker.schema["resources"][token]["version"],
            }
        return provider_pb2.ReadResponse(
            id=resource_id,
            properties=self._outputs(token, resource_id, body),
            inputs=struct(inputs),
        )

    def Invoke(self, request: Any, context: Any) -> Any:
        name = request.tok.removeprefix(_PREFIX)
        arguments = plain(request.args)
        self._fault(context, name, "invoke")
        if name == "authorization:getClientConfig":
            result: Body = {
                "clientId": rules.CLIENT,
                "objectId": rules.OPERATOR,
                "tenantId": rules.TENANT,
                "subscriptionId": self.subscription,
            }
            return _returned(struct(result))
        module, _, function = name.partition(":")
        token = f"{module}:{function.removeprefix('get')}"
        rule = RULES.get(token)
        if rule is None or not function.startswith("get"):
            self._fail(context, f"the sandbox does not know the function {request.tok}")
        resource_id = identify(rule, arguments, self.subscription)
        found = self.cloud.get(resource_id)
        if found is None:
            code = "ResourceGroupNotFound" if "Group" in token else "ResourceNotFound"
            self._fail(
                context,
                f'request failed {resource_id}: Status=404 Code="{code}"'
                f' Message="The resource {resource_id} was not found."',
            )
        _, resource_id, body = found
        outputs = self._outputs(token, resource_id, body)
        outputs.update({"id": resource_id})
        return _returned(outputs)

    # Helpers

    def _type(self, urn: str, context: Any) -> tuple[str, Rule]:
        token = urn.split("::")[2].rpartition("$")[2].removeprefix(_PREFIX)
        rule = RULES.get(token)
        if rule is None:
            self._fail(
                context,
                f"the sandbox does not know the type {_PREFIX}{token}"
                f"{nearest(token, RULES)}; it knows {len(RULES)} types, the rows of RULES"
                " in sandbox/provider/rules.py",
            )
        return token, rule

    def _own(self, properties: Any) -> Body:
        """Inputs as Azure gets them, without what only the provider knows."""
        inputs = plain(properties)
        for name in ("azureApiVersion", "__createBeforeDelete"):
            inputs.pop(name, None)
        return inputs

    def _outputs(self, token: str, resource_id: str, body: Body) -> Any:
        outputs = self.cloud.outputs(self.checker, token, resource_id, body)
        outputs["azureApiVersion"] = self.checker.schema["resources"][token]["version"]
        return struct(outputs)

    def _fault(self, context: Any, token: str, operation: str, resource_id: str = "") -> None:
        try:
            self.cloud.fault(token, operation, resource_id)
        except Refusal as refusal:
            self._fail(context, str(refusal))

    def _do(
        self,
        context: Any,
        token: str,
        operation: str,
        properties: Any,
        inputs: Body,
        run: Callable[[], Any],
        resource_id: str = "",
    ) -> Any:
        """A change, with Azure's refusals as errors and half-done ones with what there is."""
        self._fault(context, token, operation, resource_id)
        try:
            return run()
        except NotDone as failure:
            there = resource_id or identify(RULES[token], inputs, self.subscription)
            found = self.cloud.get(there)
            if found is None:
                self._fail(context, str(failure))
            self._fail_partly(context, token, found, properties, str(failure))
        except Refusal as refusal:
            text = str(refusal)
            self._fail(context, text if refusal.code else text.partition('Message="')[2][:-1])

    def _fail(self, context: Any, message: str) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, message)
        raise AssertionError("abort always raises")

    def _fail_partly(
        self,
        context: Any,
        token: str,
        found: tuple[str, str, Body],
        inputs: Any,
        message: str,
    ) -> None:
        """The resource is there but not right: the engine keeps it, and tries again later."""
        detail = provider_pb2.ErrorResourceInitFailed(
            id=found[1],
            properties=self._outputs(token, found[1], found[2]),
            inputs=inputs,
            reasons=[message],
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
        status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        self._fail(context, message)


def _returned(outputs: Any) -> Any:
    response: Any = provider_pb2.InvokeResponse()
    getattr(response, "return").CopyFrom(outputs)
    return response


def _path_inputs(rule: Rule) -> list[str]:
    """The inputs that make up the id; the last is the name."""
    names = [piece.partition("}")[0] for piece in rule.path.split("{")[1:]]
    return [name for name in names if name != "subscriptionId"]


def _name_failures(rule: Rule, inputs: Body) -> list[tuple[str, str]]:
    last = _path_inputs(rule)[-1]
    name = inputs.get(last)
    if not isinstance(name, str) or is_unknown(name) or re.fullmatch(rule.name, name):
        return []
    return [(last, f"'{last}' is '{name}', which does not match expression '^{rule.name}$'")]


def _die_with(parent: int) -> None:
    """Ends this process when the engine that started it is gone (even killed)."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def serve(engine: str | None) -> None:
    """Answers the engine until it ends this process.

    Raises:
        SystemExit: the sandbox's database is not named.
    """
    database = os.environ.get("CLOUDDP_SANDBOX_DB")
    if not database:
        sys.exit(
            "This is the sandbox's stand-in for pulumi-resource-azure-native, and"
            " CLOUDDP_SANDBOX_DB does not name its database: run it through `make`, or remove it"
            " from this PULUMI_HOME."
        )
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=64),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    provider = Provider(Cloud(Path(database)), engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()
