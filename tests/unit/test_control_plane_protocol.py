"""The stand-in answers the engine as the real provider does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, status_pb2

from sandbox.provider import cloud, tool
from sandbox.provider.cloud import Cloud
from sandbox.provider.rules import CLIENT, OPERATOR, SUBSCRIPTION, TENANT
from sandbox.provider.schema import UNKNOWN
from sandbox.provider.service import Provider, plain, struct

from .landscape import LANDSCAPE, build, id_of, inputs, place

Kind = provider_pb2.PropertyDiff
ACCOUNT = "storage:StorageAccount"
SET = "compute:VirtualMachineScaleSet"


class Aborted(Exception):
    """What the engine shows."""


class Call:
    """The context of one call."""

    def __init__(self) -> None:
        self.metadata: tuple[tuple[str, bytes], ...] = ()

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        assert code is grpc.StatusCode.UNKNOWN
        raise Aborted(message)

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        self.metadata = metadata


class Engine:
    """Talks to the provider as the engine does, without a port."""

    def __init__(self, azure: Cloud) -> None:
        self.azure = azure
        self.provider = Provider(azure)
        self.call = Call()
        self.configure()

    def configure(self, **variables: str) -> Any:
        named = {f"azure-native:config:{name}": value for name, value in variables.items()}
        return self.provider.Configure(
            provider_pb2.ConfigureRequest(variables=named, acceptSecrets=True), self.call
        )

    def check(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        request = provider_pb2.CheckRequest(
            urn=urn(token), news=struct(news), olds=struct(olds or {}), randomSeed=b"seed"
        )
        return self.provider.Check(request, self.call)

    def wrong(self, token: str, **changed: Any) -> list[str]:
        """What a check complains about when the landscape's resource is changed so."""
        answer = self.check(token, inputs(token, **changed))
        return [failure.reason for failure in answer.failures]

    def create(self, token: str, news: dict[str, Any], *, preview: bool = False) -> Any:
        request = provider_pb2.CreateRequest(
            urn=urn(token), properties=struct(news), preview=preview
        )
        return self.provider.Create(request, self.call)

    def diff(self, token: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
        request = provider_pb2.DiffRequest(
            urn=urn(token), id="/some", old_inputs=struct(old), news=struct(new)
        )
        return self.provider.Diff(request, self.call)

    def read(self, token: str, before: dict[str, Any], given: dict[str, Any]) -> Any:
        request = provider_pb2.ReadRequest(
            urn=urn(token), id=id_of(token), properties=struct(before), inputs=struct(given)
        )
        return self.provider.Read(request, self.call)

    def invoke(self, token: str, **arguments: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"azure-native:{token}", args=struct(arguments))
        answer = self.provider.Invoke(request, self.call)
        return plain(getattr(answer, "return"))


def urn(token: str) -> str:
    return f"urn:pulumi:dev::clouddp::clouddp:index:Part$azure-native:{token}::my-{token[-3:]}"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(build(tmp_path / "azure.db", until="authorization:ManagementLockByScope"))


@pytest.fixture
def empty(tmp_path: Path) -> Engine:
    return Engine(Cloud(tmp_path / "azure.db"))


def test_it_keeps_no_secrets_apart_so_the_engine_does(empty: Engine) -> None:
    answer = empty.configure()
    assert answer.supportsPreview
    assert not answer.acceptSecrets
    handshake = empty.provider.Handshake(provider_pb2.ProviderHandshakeRequest(), empty.call)
    assert not handshake.accept_secrets


@pytest.mark.parametrize("token", list(LANDSCAPE))
def test_each_type_of_the_landscape_passes_the_check(empty: Engine, token: str) -> None:
    assert empty.wrong(token) == []


@pytest.mark.parametrize(
    ("token", "changed", "sentence"),
    [
        (
            ACCOUNT,
            {"acountName": "x"},
            "unknown property 'acountName'; did you mean 'accountName'?",
        ),
        (ACCOUNT, {"kind": None}, "missing required property 'kind'"),
        (ACCOUNT, {"sku__name": None}, "missing required property 'sku.name'"),
        (
            ACCOUNT,
            {"networkRuleSet__ipRules__0__ipAddressOrRange": "x"},
            "unknown property 'networkRuleSet.ipRules[0].ipAddressOrRange'; did you mean",
        ),
        (
            ACCOUNT,
            {"allowBlobPublicAccess": "no"},
            "'allowBlobPublicAccess' should be of type 'boolean' but got a string",
        ),
        (
            ACCOUNT,
            {"networkRuleSet__ipRules": {}},
            "'networkRuleSet.ipRules' should be of type 'array' but got an object",
        ),
        (ACCOUNT, {"tags__n": 1}, "'tags.n' should be of type 'string' but got a number"),
        (
            ACCOUNT,
            {"networkRuleSet__defaultAction": "Refuse"},
            "'networkRuleSet.defaultAction' is 'Refuse' but must be one of Allow, Deny",
        ),
        (
            ACCOUNT,
            {"accountName": "Not-Allowed"},
            "'accountName' is 'Not-Allowed', which does not match expression '^[a-z0-9]{3,24}$'",
        ),
        (
            SET,
            {"platformFaultDomainCount": 1.5},
            "'platformFaultDomainCount' should be of type 'integer' but got a number",
        ),
        (SET, {"zones": [1]}, "'zones[0]' should be of type 'string' but got a number"),
        (
            "monitor:MetricAlert",
            {"criteria__odata_type": "x", "criteria__odataType": None},
            "missing required property 'criteria.odataType'",
        ),
        (
            "monitor:MetricAlert",
            {"criteria__allOf__0__metric_name": "x"},
            "unknown property 'criteria.allOf[0].metric_name'; did you mean 'metricName'?",
        ),
        (
            "authorization:RoleAssignment",
            {"roleAssignmentName": "reader"},
            "'roleAssignmentName' is 'reader', which does not match",
        ),
    ],
)
def test_wrong_inputs_are_told(
    empty: Engine, token: str, changed: dict[str, Any], sentence: str
) -> None:
    assert any(reason.startswith(sentence) for reason in empty.wrong(token, **changed))


def test_a_preview_may_leave_anything_unknown(empty: Engine) -> None:
    unknown = {
        "accountName": UNKNOWN,
        "kind": UNKNOWN,
        "sku": UNKNOWN,
        "allowBlobPublicAccess": UNKNOWN,
        "networkRuleSet__ipRules": UNKNOWN,
        "networkRuleSet__defaultAction": UNKNOWN,
        "networkRuleSet__virtualNetworkRules": [UNKNOWN],
    }
    assert empty.wrong(ACCOUNT, **unknown) == []


def test_an_unknown_type_is_refused_with_the_nearest_known(empty: Engine) -> None:
    with pytest.raises(Aborted, match=r"does not know the type azure-native:network:Subnets; did"):
        empty.check("network:Subnets", {})


def test_names_are_made_up_from_the_seed_and_kept(empty: Engine) -> None:
    token = "network:LoadBalancer"
    news = inputs(token, loadBalancerName=None)
    first = plain(empty.check(token, news).inputs)
    assert first["loadBalancerName"].startswith("my-cer")
    assert plain(empty.check(token, news).inputs) == first
    again = plain(empty.check(token, news, {**first, "loadBalancerName": "kept"}).inputs)
    assert again["loadBalancerName"] == "kept"
    role = inputs("authorization:RoleAssignment", roleAssignmentName=None)
    assert not empty.check("authorization:RoleAssignment", role).failures


def test_the_region_comes_from_the_group_and_the_version_from_the_sdk(engine: Engine) -> None:
    answer = plain(engine.check(ACCOUNT, inputs(ACCOUNT, location=None)).inputs)
    assert answer["location"] == "westeurope"
    assert answer["azureApiVersion"] == "2024-01-01"
    engine.configure(location="northeurope")
    answer = plain(engine.check(ACCOUNT, inputs(ACCOUNT, location=None)).inputs)
    assert answer["location"] == "northeurope"


def test_a_previewed_creation_knows_its_inputs_and_nothing_else(empty: Engine) -> None:
    outputs = plain(empty.create("network:LoadBalancer", inputs("network:LoadBalancer"),
                                 preview=True).properties)  # fmt: skip
    assert outputs["sku"] == {"name": "Standard", "tier": UNKNOWN}
    assert outputs["backendAddressPools"][0]["name"] == "pool"
    assert outputs["name"] == outputs["provisioningState"] == UNKNOWN
    assert not empty.azure.all("network:LoadBalancer")


def test_a_previewed_update_knows_name_and_region_too(engine: Engine) -> None:
    token = "managedidentity:UserAssignedIdentity"
    request = provider_pb2.UpdateRequest(
        urn=urn(token),
        id=id_of(token),
        olds=struct({"name": "identity", "location": "westeurope", "principalId": "1"}),
        news=struct(inputs(token, tags={"a": "b"})),
        preview=True,
    )
    outputs = plain(engine.provider.Update(request, engine.call).properties)
    assert outputs["name"] == "identity"
    assert outputs["tags"] == {"a": "b"}
    assert outputs["principalId"] == UNKNOWN, "the real provider does not say it either"


def test_what_is_made_has_id_outputs_and_version(empty: Engine) -> None:
    token = "resources:ResourceGroup"
    answer = empty.create(token, {**inputs(token), "azureApiVersion": "2024-03-01"})
    assert answer.id == id_of(token)
    assert plain(answer.properties) == {
        "azureApiVersion": "2024-03-01",
        "location": "westeurope",
        "name": "group",
        "properties": {"provisioningState": "Succeeded"},
        "type": "Microsoft.Resources/resourceGroups",
    }


def test_a_refusal_is_shown_as_azure_words_it(engine: Engine) -> None:
    with pytest.raises(Aborted, match=r'^Status=404 Code="ResourceGroupNotFound" Message="'):
        engine.create(ACCOUNT, inputs(ACCOUNT, accountName="other", resourceGroupName="none"))
    with pytest.raises(Aborted, match=r"^cannot create already existing resource '/subscriptions/"):
        engine.create(ACCOUNT, inputs(ACCOUNT))


def test_the_same_inputs_make_no_diff(engine: Engine) -> None:
    same = inputs(ACCOUNT)
    assert engine.diff(ACCOUNT, same, same).changes == provider_pb2.DiffResponse.DIFF_NONE
    spelt = inputs(ACCOUNT, location="West Europe")
    assert engine.diff(ACCOUNT, same, spelt).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_diff_names_the_innermost_path(engine: Engine) -> None:
    answer = engine.diff(
        ACCOUNT,
        inputs(ACCOUNT, tags={"gone": "x"}),
        inputs(
            ACCOUNT,
            networkRuleSet__ipRules=[{"iPAddressOrRange": "1.1.1.1"}, {"iPAddressOrRange": "2"}],
            tags={"new": "x"},
        ),
    )
    kinds = {path: each.kind for path, each in answer.detailedDiff.items()}
    assert kinds == {
        "networkRuleSet.ipRules[0].iPAddressOrRange": Kind.UPDATE,
        "networkRuleSet.ipRules[1]": Kind.ADD,
        "tags.gone": Kind.DELETE,
        "tags.new": Kind.ADD,
    }
    assert not answer.replaces
    assert sorted(answer.diffs) == ["networkRuleSet", "tags"]


@pytest.mark.parametrize(
    ("token", "changed"),
    [
        (ACCOUNT, {"location": "northeurope"}),
        (ACCOUNT, {"accountName": "other"}),
        (ACCOUNT, {"isHnsEnabled": True}),
        ("network:PublicIPAddress", {"sku__name": "Basic"}),
        ("authorization:RoleAssignment", {"principalId": "x"}),
        ("authorization:RoleAssignment", {"scope": UNKNOWN}),
        ("resources:ResourceGroup", {"location": "northeurope"}),
    ],
)
def test_what_the_provider_replaces_is_deleted_first(
    engine: Engine, token: str, changed: dict[str, Any]
) -> None:
    answer = engine.diff(token, inputs(token), inputs(token, **changed))
    assert len(answer.replaces) == 1
    assert answer.deleteBeforeReplace
    made_up = {**inputs(token), "__createBeforeDelete": True}
    answer = engine.diff(token, made_up, inputs(token, **changed, __createBeforeDelete=True))
    assert not answer.deleteBeforeReplace


@pytest.mark.parametrize(
    ("token", "changed"),
    [
        ("network:LoadBalancer", {"location": "northeurope"}),
        ("keyvault:Vault", {"properties__softDeleteRetentionInDays": 90}),
        (SET, {"zones": ["1"]}),
        ("network:PublicIPAddress", {"dnsSettings__domainNameLabel": "other"}),
    ],
)
def test_what_the_provider_does_not_know_to_replace_is_an_update(
    engine: Engine, token: str, changed: dict[str, Any]
) -> None:
    answer = engine.diff(token, inputs(token), inputs(token, **changed))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert not answer.replaces


def live(engine: Engine, token: str) -> dict[str, Any]:
    return plain(engine.read(token, {}, {}).properties)


@pytest.mark.parametrize("token", [t for t in LANDSCAPE if not t.endswith("LockByScope")])
def test_a_refresh_of_what_nobody_touched_changes_nothing(engine: Engine, token: str) -> None:
    given, before = inputs(token), live(engine, token)
    answer = engine.read(token, before, given)
    assert plain(answer.inputs) == given
    assert plain(answer.properties) == before


def test_a_refresh_sees_drift_in_outputs_and_inputs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(engine, ACCOUNT)
    monkeypatch.setenv("CLOUDDP_SANDBOX_DB", str(tmp_path / "azure.db"))
    for path, new in (
        ("networkRuleSet.ipRules.0.iPAddressOrRange", "198.51.100.9"),
        ("tags.added", "by hand"),
        ("allowBlobPublicAccess", None),
        ("primaryLocation", "moon"),
    ):
        tool.main(["set", id_of(ACCOUNT), path, json.dumps(new)])
    answer = engine.read(ACCOUNT, before, inputs(ACCOUNT))
    assert plain(answer.inputs) == inputs(
        ACCOUNT,
        networkRuleSet__ipRules__0__iPAddressOrRange="198.51.100.9",
        tags={"added": "by hand"},
        allowBlobPublicAccess=None,
    )
    assert plain(answer.properties)["primaryLocation"] == "moon"


def test_a_refresh_keeps_what_azure_never_returns(engine: Engine) -> None:
    token = "keyvault:Secret"
    before = live(engine, token)
    place(engine.azure, token, update=True, properties__value="changed by hand")
    answer = plain(engine.read(token, before, inputs(token)).inputs)
    assert answer["properties"]["value"] == "hush"


def test_what_is_gone_reads_as_nothing(engine: Engine) -> None:
    engine.azure.delete(id_of("dns:RecordSet"))
    assert engine.read("dns:RecordSet", {}, inputs("dns:RecordSet")).id == ""


def test_an_import_has_all_that_a_program_would_say(engine: Engine) -> None:
    imported = plain(engine.read("network:Subnet", {}, {}).inputs)
    assert imported.pop("azureApiVersion") == "2024-05-01"
    imported = {n: v for n, v in imported.items() if n not in ("name", "type")}
    assert imported == inputs("network:Subnet")


def test_a_delete_goes_through_and_is_refused(engine: Engine) -> None:
    def delete(token: str) -> Any:
        request = provider_pb2.DeleteRequest(urn=urn(token), id=id_of(token))
        return engine.provider.Delete(request, engine.call)

    delete("dns:RecordSet")
    with pytest.raises(Aborted, match="LoadBalancerInUseByVirtualMachineScaleSet"):
        delete("network:LoadBalancer")


def test_the_client_is_the_sandboxes(empty: Engine) -> None:
    expected = {"clientId": CLIENT, "objectId": OPERATOR, "tenantId": TENANT}
    answer = empty.invoke("authorization:getClientConfig")
    assert answer == {**expected, "subscriptionId": SUBSCRIPTION}
    empty.configure(subscriptionId="another")
    assert empty.invoke("authorization:getClientConfig")["subscriptionId"] == "another"


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        ("resources:getResourceGroup", {"resourceGroupName": "group"}, "group"),
        (
            "dns:getZone",
            {"resourceGroupName": "contoso-dns", "zoneName": "contoso.example"},
            "contoso.example",
        ),
        (
            "keyvault:getVault",
            {"resourceGroupName": "group", "vaultName": "point-abcdef"},
            "point-abcdef",
        ),
        (
            "operationalinsights:getWorkspace",
            {"resourceGroupName": "group", "workspaceName": "logs-abcdef"},
            "logs-abcdef",
        ),
    ],
)
def test_what_exists_can_be_looked_up(
    engine: Engine, function: str, arguments: dict[str, Any], name: str
) -> None:
    answer = engine.invoke(function, **arguments)
    assert answer["name"] == name
    assert answer["id"].endswith(f"/{name}")


def test_what_does_not_exist_cannot_be_looked_up(empty: Engine) -> None:
    with pytest.raises(Aborted, match='Status=404 Code="ResourceGroupNotFound"'):
        empty.invoke("resources:getResourceGroup", resourceGroupName="none")
    with pytest.raises(Aborted, match="does not know the function azure-native:web:getApp"):
        empty.invoke("web:getApp")


def test_an_injected_fault_fails_the_operation_that_it_names(empty: Engine) -> None:
    with empty.azure.change() as database:
        database.execute("INSERT INTO faults (operation, error) VALUES ('check', 'Too busy.')")
    with pytest.raises(Aborted, match=r"Too busy\."):
        empty.check(ACCOUNT, {})


def test_what_was_made_but_does_not_run_is_kept_by_the_engine(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in LANDSCAPE:
        if token == SET:
            break
        place(empty.azure, token)
    with empty.azure.change() as database:
        database.execute("INSERT INTO settings VALUES ('data_plane', 'on')")
    monkeypatch.setattr(cloud, "WAIT_SECONDS", 0.1)
    with pytest.raises(Aborted, match="did not answer in time"):
        empty.create(SET, inputs(SET))
    ((name, packed),) = empty.call.metadata
    assert name == "grpc-status-details-bin"
    status = status_pb2.Status.FromString(packed)
    failure = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failure)
    assert failure.id == id_of(SET)
    assert plain(failure.properties)["name"] == "set"
    assert plain(failure.inputs) == inputs(SET)


def test_numbers_and_nulls_survive_the_way_to_python_and_back() -> None:
    values = {"i": 3, "f": 0.5, "b": True, "s": "", "l": [1, {}], "o": {"x": None}}
    message = struct(values)
    assert type(message).__name__ == "Struct"
    assert plain(message) == {**values, "o": {}}
    assert isinstance(plain(message)["i"], int)
