"""The recording mock engine itself: what other tests rely on."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi_azure_native import authorization, network, resources

from tests.unit.mocks import ADDRESS, SUBSCRIPTION, Recorder, run


def address(name: str, **options: Any) -> network.PublicIPAddress:
    return network.PublicIPAddress(
        name,
        resource_group_name="group",
        public_ip_address_name=f"{name}-physical",
        location="westeurope",
        dns_settings=network.PublicIPAddressDnsSettingsArgs(domain_name_label="label"),
        opts=pulumi.ResourceOptions(**options),
    )


def test_inputs_and_options_are_recorded() -> None:
    recorder = run(
        lambda: address("one", delete_before_replace=True, replace_on_changes=["location"])
    )
    found = recorder.one("azure-native:network:PublicIPAddress")
    assert found.name == "one"
    assert found.inputs["publicIpAddressName"] == "one-physical"
    assert found.delete_before_replace
    assert found.replace_on_changes == {"location"}


def test_an_address_gets_what_azure_would_fill_in() -> None:
    def program() -> list[Any]:
        made = address("one")
        return [made.id, made.ip_address, made.dns_settings.apply(lambda dns: dns and dns.fqdn)]

    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group"
    assert run(program).result == [
        f"{group}/providers/Microsoft.Network/publicIPAddresses/one-physical",
        ADDRESS,
        "label.westeurope.cloudapp.azure.com",
    ]


def test_what_a_resource_waits_for_is_recorded_by_name() -> None:
    def program() -> None:
        group = resources.ResourceGroup("group")
        network.NetworkSecurityGroup("rules", resource_group_name=group.name)

    assert run(program).named("rules").waits_for == {"group"}


def test_a_secret_input_is_readable_and_known_as_secret() -> None:
    def program() -> None:
        network.NetworkSecurityGroup(
            "rules", resource_group_name="group", tags={"key": pulumi.Output.secret("hidden")}
        )

    found = run(program).named("rules")
    assert found.inputs["tags"] == {"key": "hidden"}
    assert found.secrets == {"tags"}


def test_exports_and_component_outputs_are_recorded() -> None:
    class Part(pulumi.ComponentResource):
        def __init__(self) -> None:
            super().__init__("clouddp:index:Part", "part")
            self.register_outputs({"answer": 42})

    def program() -> None:
        Part()
        pulumi.export("plain", "one")
        pulumi.export("hidden", pulumi.Output.secret("two"))

    recorder = run(program)
    assert recorder.component_outputs == {"part": {"answer": 42}}
    assert recorder.exports == {"plain": "one", "hidden": "two"}
    assert recorder.secret_exports == {"hidden"}


def test_configuration_is_that_of_this_run_alone() -> None:
    def program() -> Any:
        return pulumi.Config("clouddp").get("region")

    assert run(program, config={"clouddp:region": "westeurope"}).result == "westeurope"
    assert run(program).result is None


def test_what_the_program_logs_is_recorded() -> None:
    assert "take care" in run(lambda: pulumi.log.warn("take care")).messages


def test_what_the_program_raises_comes_out() -> None:
    def program() -> None:
        raise pulumi.RunError("one clear sentence")

    with pytest.raises(pulumi.RunError, match="one clear sentence"):
        run(program)


def test_a_failing_apply_comes_out() -> None:
    def program() -> None:
        def fail(_: object) -> None:
            raise ValueError("inside")

        pulumi.Output.from_input(1).apply(fail)

    with pytest.raises(ValueError, match="inside"):
        run(program)


def test_outputs_can_be_given_by_type() -> None:
    recorder = Recorder(
        outputs={"azure-native:network:PublicIPAddress": {"ipAddress": "192.0.2.1"}}
    )
    assert run(lambda: address("one").ip_address, recorder=recorder).result == "192.0.2.1"


def test_a_missing_resource_is_reported_with_what_there_is() -> None:
    recorder = run(lambda: address("one"))
    with pytest.raises(AssertionError, match="0 resources for two among: one"):
        recorder.named("two")


def test_a_function_is_answered_and_its_call_recorded() -> None:
    recorder = run(lambda: authorization.get_client_config_output().subscription_id)
    assert recorder.result == SUBSCRIPTION
    assert [call.token for call in recorder.calls] == ["azure-native:authorization:getClientConfig"]


def test_a_program_that_failed_leaves_nothing_to_the_next_one() -> None:
    def fails() -> Any:
        def fail(_: object) -> None:
            raise ValueError("inside")

        failed = address("one").id.apply(fail)
        pulumi.ComponentResource("clouddp:index:Part", "part").register_outputs({"id": failed})
        return failed

    with pytest.raises(ValueError, match="inside"):
        run(fails)
    assert [each.name for each in run(lambda: address("three")).resources] == ["three"]
