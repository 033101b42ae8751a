# ruff: noqa: ARG002, N802 - the engine's protocol says what methods and arguments there are
"""The provider of DynamicCname: what the engine asks for, in terms of `updates`.

It speaks the engine's protocol itself and not through Pulumi's dynamic providers, which show each
failure with its traceback and keep code in the state.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty  # ty: ignore[missing-module-member]
from google.protobuf.struct_pb2 import Struct  # ty: ignore[missing-module-member]
from pulumi.runtime import rpc
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

from .updates import (
    Cname,
    NameInUse,
    UpdateFailed,
    Zone,
)

VERSION = "1.0.0"
MOST_AT_ONCE = 8
PARENT_SECONDS = 1.0
TARGET, TTL = "target", "ttl"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine. What the record needs is in its properties, so nothing is configured."""

    def __init__(self, warn: Callable[[str, str], None]) -> None:
        """Takes how to warn: the resource's URN and a sentence."""
        self._warn = warn

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """Says which version this is."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Takes any configuration: there is none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Never differs, since there is no configuration."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        """Says that secrets stay marked and that previews ask too."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Takes the inputs as they are: the settings were checked long before."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Compares with what is known to be there."""
        old, new = _plain(request.olds), _plain(request.news)
        changed = sorted(name for name in new if old.get(name) != new[name])
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            # Another server or zone may be the same one by another name: only a new name is
            # made first and the old one removed then.
            replaces=[name for name in changed if name == "fqdn"],
        )

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        """Makes the record; in a preview, only sees whether that could be."""
        inputs = _plain(request.properties)
        if not request.preview:
            _try(context, lambda: _zone(inputs).create(_record(inputs)))
        elif rpc.UNKNOWN not in inputs.values():
            _try(context, lambda: self._foresee(request.urn, inputs))
        return provider_pb2.CreateResponse(
            id="" if request.preview else inputs["fqdn"], properties=request.properties
        )

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        """Changes the record where target or TTL differ from what is known to be there."""
        old, new = _plain(request.olds), _plain(request.news)
        if not request.preview:
            _try(context, lambda: _zone(new).change(_record(old), _record(new)))
        return provider_pb2.UpdateResponse(properties=request.news)

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        """Tells what is there; without an id where there is no alias."""
        known = _plain(request.properties)
        if not known:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                "A record cannot be imported: leave it, and `pulumi up` takes it over if it leads "
                "to the distribution point.",
            )
        there = _try(context, lambda: _zone(known).read(known["fqdn"]))
        if there is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_with(request.properties, there),
            inputs=_with(request.inputs, there),
        )

    def Delete(self, request: Any, context: Any) -> Empty:
        """Removes the record, if it is still ours."""
        known = _plain(request.properties)
        record = _record(known)
        if not _try(context, lambda: _zone(known).remove(record)):
            self._warn(
                request.urn,
                f"{record.fqdn} no longer leads to {record.target}: what stands there, if "
                "anything, was left.",
            )
        return Empty()

    def _foresee(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Previews run where no DNS server may be asked, too: only a name in use is an error."""
        try:
            _zone(inputs).foresee(_record(inputs))
        except NameInUse:
            raise
        except UpdateFailed as failed:
            self._warn(urn, f"{failed} Whether the record can be made is not known.")

    def Cancel(self, request: Any, context: Any) -> Empty:
        """Lets what is under way end: it takes seconds."""
        return Empty()


def main(arguments: Sequence[str]) -> None:
    """Serves until the engine ends.

    Args:
        arguments: the engine's address.
    """
    # Ctrl-C is the engine's to handle, which lets a change that is under way come to its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = grpc.server(ThreadPoolExecutor(MOST_AT_ONCE))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Provider(_engine_log(arguments[0])), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # an engine that was killed says no goodbye
        time.sleep(PARENT_SECONDS)
    os._exit(0)


def _engine_log(address: str) -> Callable[[str, str], None]:
    stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def warn(urn: str, message: str) -> None:
        stub.Log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, urn=urn, message=message))

    return warn


def _plain(properties: Struct) -> dict[str, Any]:
    """Properties without the marks of secrets. What a preview does not know stays a mark."""
    found = rpc.deserialize_properties(properties, keep_unknowns=True)
    return {
        name: rpc.unwrap_rpc_secret(value) if rpc.is_rpc_secret(value) else value
        for name, value in found.items()
    }


def _with(properties: Struct, there: Cname) -> Struct:
    changed = Struct()
    changed.CopyFrom(properties)
    changed.update({TARGET: there.target, TTL: there.ttl})
    return changed


def _zone(properties: Mapping[str, Any]) -> Zone:
    return Zone(
        name=properties["zone"],
        server=properties["server"],
        key_name=properties["keyName"],
        key_algorithm=properties["keyAlgorithm"],
        key_secret=properties["keySecret"],
    )


def _record(properties: Mapping[str, Any]) -> Cname:
    return Cname(properties["fqdn"], properties[TARGET].rstrip(".").lower(), int(properties[TTL]))


def _try(context: Any, work: Callable[[], Any]) -> Any:
    """Does it, or ends the call with one sentence."""
    try:
        return work()
    except UpdateFailed as failed:
        return context.abort(grpc.StatusCode.UNKNOWN, str(failed))
