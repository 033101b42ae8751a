"""QuotaAlerts: every threshold exact, every alert with a receiver, and no right too many."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest
from pydantic import SecretStr

from components.clouds import CLOUDS
from components.naming import Names
from components.quotas import QuotaAlerts, QuotaAlertsArgs
from components.quotas.alert_rules import degraded_percent, threshold_bytes
from components.quotas.quota_alerts import first_of_month
from components.quotas.usage_table import COLUMNS, table_name
from components.roles import Role

from .examples import NAMES
from .mocks import PRINCIPAL, SUBSCRIPTION, Recorded, Recorder, run

ACCOUNT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Storage/s/a"
BALANCER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Network/l/b"
SCALE_SET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/v/s"
OTHER_SUBSCRIPTION = "99999999-9999-4999-8999-999999999999"
SHARED_WORKSPACE = (
    f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/monitoring/providers"
    "/Microsoft.OperationalInsights/workspaces/central"
)
HOOK = "https://hooks.contoso.com/alerts?token=hush-hush"
TABLE = table_name(NAMES)

WORKSPACE = "azure-native:operationalinsights:Workspace"
LOG_ALERT = "azure-native:monitor:ScheduledQueryRule"
METRIC_ALERT = "azure-native:monitor:MetricAlert"

OF_REACH = {"unreachable", "data-path", "degraded"}
OF_SILENCE = {"agent-silent", "instances-missing", *OF_REACH}
OF_STORAGE = {"storage-warning", "storage-critical"}
WINDOW_MINUTES = {"PT5M": 5, "PT30M": 30, "PT1H": 60, "PT6H": 360}
EVERY_MINUTES = {"PT1M": 1, "PT5M": 5, "PT15M": 15, "PT1H": 60}


def arguments(**changed: Any) -> QuotaAlertsArgs:
    args: QuotaAlertsArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {"team": "endpoints"},
        "cloud": CLOUDS["public"],
        "description": "Content for laptops",
        "subscription_id": SUBSCRIPTION,
        "storage_account_id": ACCOUNT,
        "load_balancer_id": BALANCER,
        "scale_set_id": SCALE_SET,
        "principal_id": PRINCIPAL,
        "storage_quota_gb": 2000,
        "transfer_quota_gb": 10_000,
        "transfer_period_days": 30,
        "warning_percent": 50,
        "critical_percent": 90,
        "stop_at_critical": False,
        "certificate_warning_days": 30,
        "alert_emails": ["ops@contoso.com"],
        "alert_webhooks": [SecretStr(HOOK)],
        "monthly_budget": 0,
        "instances": 2,
        "service_port": 443,
        "log_workspace_id": None,
    }
    args.update(changed)  # ty: ignore[invalid-argument-type]
    return args


def quotas(*, recorder: Recorder | None = None, **changed: Any) -> Recorder:
    def program() -> dict[str, Any]:
        part = QuotaAlerts("dp-quotas", arguments(**changed))
        return {
            "logs_endpoint": part.logs_endpoint,
            "rule_immutable_id": part.rule_immutable_id,
            "stream": part.stream,
            "dashboard_url": part.dashboard_url,
            "action_group_id": part.action_group_id,
            "workspace_id": part.workspace_id,
        }

    return run(program, recorder=recorder)


def with_shared_workspace(region: str = "North Europe") -> Recorder:
    answers = {"azure-native:operationalinsights:getWorkspace": {"location": region}}
    return quotas(recorder=Recorder(answers=answers), log_workspace_id=SHARED_WORKSPACE)


def alerts(recorded: Recorder) -> dict[str, Recorded]:
    every = recorded.all(LOG_ALERT) + recorded.all(METRIC_ALERT)
    return {each.name.removeprefix("dp-quotas-"): each for each in every}


def condition(alert: Recorded) -> dict[str, Any]:
    (only,) = alert.inputs["criteria"]["allOf"]
    return only


# What is watched, and from when on


@pytest.mark.parametrize(
    ("quota_gb", "percent", "exact"),
    [
        (1, 1, 10_000_000),
        (2000, 50, 1_000_000_000_000),
        (10_000, 90, 9_000_000_000_000),
        (3, 33, 990_000_000),
        (999_999_999, 99, 989_999_999_010_000_000),
    ],
)
def test_a_threshold_is_exact_to_the_byte(quota_gb: int, percent: int, exact: int) -> None:
    assert threshold_bytes(quota_gb, percent) == exact


@pytest.mark.parametrize("percent", [1, 7, 29, 58, 99, 100])
@pytest.mark.parametrize("quota_gb", [1, 3, 2000, 999_999_999, 1_000_000_000])
def test_a_threshold_survives_the_number_type_of_json(quota_gb: int, percent: int) -> None:
    exact = threshold_bytes(quota_gb, percent)
    assert exact * 100 == quota_gb * 10**9 * percent
    assert int(float(exact)) == exact


@pytest.mark.parametrize(("level", "used"), [("warning", 10**12), ("critical", 18 * 10**11)])
def test_storage_is_watched_on_the_accounts_own_metric_over_six_hours(
    level: str, used: int
) -> None:
    alert = alerts(quotas())[f"storage-{level}"]
    assert alert.type == METRIC_ALERT
    assert alert.inputs["scopes"] == [ACCOUNT]
    assert alert.inputs["criteria"]["odataType"] == (
        "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
    )
    assert condition(alert) == {
        "criterionType": "StaticThresholdCriterion",
        "name": "UsedCapacity",
        "metricNamespace": "Microsoft.Storage/storageAccounts",
        "metricName": "UsedCapacity",
        "timeAggregation": "Average",
        "operator": "GreaterThanOrEqual",
        "threshold": used,
    }
    assert (alert.inputs["evaluationFrequency"], alert.inputs["windowSize"]) == ("PT1H", "PT6H")


@pytest.mark.parametrize(("level", "used"), [("warning", 5 * 10**12), ("critical", 9 * 10**12)])
def test_transfer_is_watched_in_the_newest_row_of_the_last_hour(level: str, used: int) -> None:
    alert = alerts(quotas())[f"transfer-{level}"]
    assert alert.type == LOG_ALERT
    assert condition(alert) == {
        "criterionType": "StaticThresholdCriterion",
        "query": f"{TABLE} | where isnotnull(BytesSent) | summarize arg_max(TimeGenerated, *) "
        "| project BytesSent",
        "metricMeasureColumn": "BytesSent",
        "timeAggregation": "Maximum",
        "operator": "GreaterThanOrEqual",
        "threshold": used,
        "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
    }
    assert (alert.inputs["evaluationFrequency"], alert.inputs["windowSize"]) == ("PT5M", "PT1H")


def test_a_certificate_that_nobody_posted_about_does_not_count_as_expired() -> None:
    expiring = condition(alerts(quotas(certificate_warning_days=45))["certificate-expiring"])
    assert expiring["query"] == (
        f"{TABLE} | where isnotnull(CertificateDaysLeft) | summarize arg_max(TimeGenerated, *) "
        "| project CertificateDaysLeft"
    )
    assert (expiring["operator"], expiring["threshold"]) == ("LessThanOrEqual", 45)
    # A total of nothing is 0, which is below every threshold; a minimum of nothing is nothing.
    assert expiring["timeAggregation"] == "Minimum"


def test_a_silent_agent_is_told_by_a_query_that_answers_even_for_an_empty_table() -> None:
    silent = alerts(quotas())["agent-silent"]
    # A row without that figure is from an agent that is as good as silent.
    assert condition(silent)["query"] == (
        f"{TABLE} | where isnotnull(BytesSent) | summarize Rows = count()"
    )
    assert condition(silent)["metricMeasureColumn"] == "Rows"
    assert condition(silent)["timeAggregation"] == "Total"
    assert (condition(silent)["operator"], condition(silent)["threshold"]) == ("LessThan", 1)
    assert silent.inputs["windowSize"] == "PT30M"


def test_an_instance_that_is_gone_is_missed_in_the_rows_since_no_probe_knows_of_it() -> None:
    missing = condition(alerts(quotas(instances=3))["instances-missing"])
    assert missing["query"] == f"{TABLE} | distinct Instance | summarize Instances = count()"
    assert missing["metricMeasureColumn"] == "Instances"
    assert missing["timeAggregation"] == "Total"
    assert (missing["operator"], missing["threshold"]) == ("LessThan", 3)


def test_reachability_is_watched_on_the_balancers_own_metrics() -> None:
    watched = {
        role: (condition(each)["metricName"], condition(each)["operator"], each.inputs["scopes"])
        for role, each in alerts(quotas()).items()
        if role in OF_REACH
    }
    assert watched == {
        "unreachable": ("DipAvailability", "LessThan", [BALANCER]),
        "data-path": ("VipAvailability", "LessThan", [BALANCER]),
        "degraded": ("DipAvailability", "LessThan", [BALANCER]),
    }


@pytest.mark.parametrize("instances", range(1, 17))
def test_one_missing_instance_is_degraded_and_one_that_restarts_is_not(instances: int) -> None:
    one_missing = 100 * (instances - 1) / instances
    # Ten minutes of the half hour that the alert looks back on.
    one_restarted = 100 - 100 / instances / 3
    assert one_missing < degraded_percent(instances) < one_restarted


def test_severities_are_those_that_azures_users_expect() -> None:
    assert {role: each.inputs["severity"] for role, each in alerts(quotas()).items()} == {
        "storage-warning": 2,
        "storage-critical": 0,
        "transfer-warning": 2,
        "transfer-critical": 0,
        "certificate-expiring": 1,
        "agent-silent": 1,
        "instances-missing": 2,
        "unreachable": 0,
        "data-path": 0,
        "degraded": 2,
    }


def test_every_alert_resolves_by_itself_and_looks_back_as_far_as_azure_allows() -> None:
    for alert in alerts(quotas()).values():
        assert alert.inputs["autoMitigate"] is True
        every = EVERY_MINUTES[alert.inputs["evaluationFrequency"]]
        window = WINDOW_MINUTES[alert.inputs["windowSize"]]
        assert every <= window
        # "Evaluation frequency must be at least five minutes when the period exceeds four hours."
        assert window <= 4 * 60 or every >= 5


def test_queries_are_not_checked_since_the_table_is_new() -> None:
    for alert in quotas().all(LOG_ALERT):
        assert alert.inputs["skipQueryValidation"] is True
        assert alert.inputs["kind"] == "LogAlert"
        assert "dp-quotas-table" in alert.waits_for


# A stopped service


def test_without_instances_their_alerts_are_off_but_still_there() -> None:
    running, stopped = alerts(quotas()), alerts(quotas(instances=0))
    assert stopped.keys() == running.keys()
    assert all(each.inputs["enabled"] is True for each in running.values())
    assert {role for role, each in stopped.items() if each.inputs["enabled"]} == OF_STORAGE


def test_alerts_on_silence_name_the_scale_set_which_must_exist_first() -> None:
    def program() -> None:
        machines = pulumi.CustomResource(
            "azure-native:compute:VirtualMachineScaleSet", "machines", {"vmScaleSetName": "set"}
        )
        QuotaAlerts("dp-quotas", arguments(scale_set_id=machines.id))

    waiting = {role for role, each in alerts(run(program)).items() if "machines" in each.waits_for}
    assert waiting == OF_SILENCE


# What the mails say, and to whom


@pytest.mark.parametrize(
    ("role", "says"),
    [
        (
            "storage-warning",
            "50 % or more of the storage quota is used (from 1,000 of 2,000 GB on)",
        ),
        (
            "transfer-critical",
            "90 % or more of the transfer quota is used (from 9,000 of 10,000 GB in 30 days on)",
        ),
        ("certificate-expiring", "the certificate expires in 30 days or less"),
        ("agent-silent", "no instance has posted for half an hour how much was sent"),
        ("instances-missing", "not all of the 2 instances have posted for half an hour"),
        ("unreachable", "no instance answers, so clients cannot download"),
    ],
)
def test_the_text_says_which_distribution_point_what_is_wrong_and_what_to_do(
    role: str, says: str
) -> None:
    text = alerts(quotas())[role].inputs["description"]
    opening, rest = text.split(". ", 1)
    assert opening == (f"Distribution point {NAMES.fqdn} ({NAMES.service}, {NAMES.region}): {says}")
    assert rest.endswith(".")


def test_only_a_service_that_stops_says_that_it_stopped() -> None:
    refused = "Content is refused until use falls or the quota is raised."
    stopping = alerts(quotas(stop_at_critical=True))
    saying = [role for role, each in stopping.items() if refused in each.inputs["description"]]
    assert saying == ["transfer-critical"]
    assert not any(refused in each.inputs["description"] for each in alerts(quotas()).values())


def test_no_text_is_longer_than_azure_takes() -> None:
    # 2,048 characters: azure-monitor-docs, alerts/includes/azure-monitor-limits-alerts.md
    longest = quotas(
        storage_quota_gb=5_000_000, transfer_quota_gb=1_000_000_000, stop_at_critical=True
    )
    room_for_the_longest_name = 253 - len(NAMES.fqdn)
    for alert in alerts(longest).values():
        assert len(alert.inputs["description"]) + 2 * room_for_the_longest_name < 2048


def test_the_payload_of_each_alert_says_the_same_for_machines() -> None:
    for role, alert in alerts(quotas()).items():
        if alert.type == LOG_ALERT:
            said = alert.inputs["actions"]["customProperties"]
        else:
            said = alert.inputs["actions"][0]["webHookProperties"]
        assert said["distributionPoint"] == NAMES.fqdn
        assert said["alert"] == role
        assert said["whatToDo"] in alert.inputs["description"]
        assert said["workbook"].startswith("https://portal.azure.com/#resource/subscriptions/")
        assert all(isinstance(value, str) for value in said.values())


def test_every_alert_tells_the_action_group() -> None:
    recorded = quotas()
    group = recorded.result["action_group_id"]
    for alert in recorded.all(LOG_ALERT):
        assert alert.inputs["actions"]["actionGroups"] == [group]
    for alert in recorded.all(METRIC_ALERT):
        assert [each["actionGroupId"] for each in alert.inputs["actions"]] == [group]


def test_receivers_get_the_common_alert_schema() -> None:
    group = quotas(alert_emails=["a@contoso.com", "b@contoso.com"]).one(
        "azure-native:monitor:ActionGroup"
    )
    assert group.inputs["emailReceivers"] == [
        {"name": address, "emailAddress": address, "useCommonAlertSchema": True}
        for address in ("a@contoso.com", "b@contoso.com")
    ]
    assert group.inputs["webhookReceivers"] == [
        {
            "name": "webhook 1",
            "serviceUri": HOOK,
            "useAadAuth": False,
            "useCommonAlertSchema": True,
        }
    ]
    assert group.inputs["enabled"] is True
    assert group.inputs["location"] == "global"


def test_a_webhook_stays_secret() -> None:
    recorded = quotas()
    assert "webhookReceivers" in recorded.one("azure-native:monitor:ActionGroup").secrets
    shown = [
        str(each.inputs) for each in recorded.resources if "webhookReceivers" not in each.inputs
    ]
    assert not any("hush-hush" in each for each in [*shown, *recorded.messages])
    assert "hush-hush" not in str(recorded.component_outputs)


def test_a_long_service_name_is_cut_to_azures_short_name() -> None:
    group = quotas(names=replace(NAMES, service="distributionpoint1")).one(
        "azure-native:monitor:ActionGroup"
    )
    assert group.inputs["groupShortName"] == "distribution"


def test_alerts_exist_though_there_is_nobody_to_tell() -> None:
    recorded = quotas(alert_emails=[], alert_webhooks=[])
    assert len(alerts(recorded)) == 10
    group = recorded.one("azure-native:monitor:ActionGroup")
    assert group.inputs.get("emailReceivers", []) == []
    assert group.inputs.get("webhookReceivers", []) == []


# Rights


def test_the_identity_may_post_through_the_rule_and_read_two_resources_and_nothing_else() -> None:
    recorded = quotas()
    given = {
        each.inputs["roleDefinitionId"].rpartition("/")[2]: set[str]()
        for each in recorded.all("azure-native:authorization:RoleAssignment")
    }
    for each in recorded.all("azure-native:authorization:RoleAssignment"):
        assert each.inputs["principalId"] == PRINCIPAL
        assert each.inputs["principalType"] == "ServicePrincipal"
        given[each.inputs["roleDefinitionId"].rpartition("/")[2]].add(each.inputs["scope"])
    (rule_scope,) = given[Role.MONITORING_METRICS_PUBLISHER.value]
    assert "/dataCollectionRules/" in rule_scope
    assert given[Role.MONITORING_READER.value] == {ACCOUNT, BALANCER}
    assert len(given) == 2


# The log


def test_the_workspace_has_no_keys_and_a_daily_cap() -> None:
    workspace = quotas().one(WORKSPACE).inputs
    assert workspace["features"] == {
        "disableLocalAuth": True,
        "enableLogAccessUsingOnlyResourcePermissions": True,
    }
    assert workspace["workspaceCapping"] == {"dailyQuotaGb": 1}
    assert workspace["sku"] == {"name": "PerGB2018"}
    assert workspace["retentionInDays"] == 30
    assert workspace["publicNetworkAccessForIngestion"] == "Enabled"
    assert workspace["publicNetworkAccessForQuery"] == "Enabled"
    assert workspace["workspaceName"] == NAMES.log_workspace


def test_rows_are_kept_for_the_longest_transfer_period_on_a_plan_that_has_alerts() -> None:
    table = quotas(transfer_period_days=90).one("azure-native:operationalinsights:Table").inputs
    assert table["plan"] == "Analytics"
    assert table["retentionInDays"] == table["totalRetentionInDays"] == 90


def test_table_and_stream_declare_the_same_columns_each_with_its_own_spelling() -> None:
    recorded = quotas()
    table = recorded.one("azure-native:operationalinsights:Table").inputs
    rule = recorded.one("azure-native:monitor:DataCollectionRule").inputs
    assert table["tableName"] == table["schema"]["name"] == TABLE
    in_table = {each["name"]: each["type"] for each in table["schema"]["columns"]}
    (declared,) = rule["streamDeclarations"].values()
    in_stream = {each["name"]: each["type"] for each in declared["columns"]}
    assert in_table.keys() == in_stream.keys() == {each.name for each in COLUMNS}
    assert (in_table["TimeGenerated"], in_stream["TimeGenerated"]) == ("dateTime", "datetime")
    assert {name: kind for name, kind in in_table.items() if name != "TimeGenerated"} == {
        name: kind for name, kind in in_stream.items() if name != "TimeGenerated"
    }


def test_rows_flow_unchanged_from_the_stream_to_the_table_which_must_exist_first() -> None:
    recorded = quotas()
    rule = recorded.one("azure-native:monitor:DataCollectionRule")
    (stream,) = rule.inputs["streamDeclarations"]
    assert stream == recorded.result["stream"] == f"Custom-{TABLE}"
    (destination,) = rule.inputs["destinations"]["logAnalytics"]
    assert destination["workspaceResourceId"] == recorded.result["workspace_id"]
    assert rule.inputs["dataFlows"] == [
        {
            "streams": [stream],
            "destinations": [destination["name"]],
            "transformKql": "source",
            "outputStream": f"Custom-{TABLE}",
        }
    ]
    assert "dp-quotas-table" in rule.waits_for
    assert "dataCollectionEndpointId" in rule.inputs


def test_names_of_columns_are_ones_that_azure_takes() -> None:
    reserved = {"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
    for column in COLUMNS:
        assert column.name.isalnum()
        assert len(column.name) <= 45
        assert column.name not in reserved


def test_agents_learn_where_to_post() -> None:
    result = quotas().result
    assert result["logs_endpoint"].startswith("https://")
    assert result["rule_immutable_id"].startswith("dcr-")


def test_two_distribution_points_of_one_name_share_a_workspace_without_sharing_a_table() -> None:
    elsewhere = Names.compute(
        service="clouddp1",
        fqdn="clouddp1.fabrikam.com",
        region="westeurope",
        cloud=CLOUDS["public"],
    )
    assert table_name(elsewhere) != TABLE


# An existing workspace


def test_with_an_existing_workspace_only_the_table_goes_into_it() -> None:
    recorded = with_shared_workspace()
    assert recorded.all(WORKSPACE) == []
    table = recorded.one("azure-native:operationalinsights:Table")
    assert table.inputs["workspaceName"] == "central"
    assert table.inputs["resourceGroupName"] == "monitoring"
    assert table.deleted_with == ""
    assert recorded.result["workspace_id"] == SHARED_WORKSPACE
    assert {tuple(each.inputs["scopes"]) for each in recorded.all(LOG_ALERT)} == {
        (SHARED_WORKSPACE,)
    }


def test_rule_end_point_and_log_alerts_are_in_the_region_of_the_existing_workspace() -> None:
    recorded = with_shared_workspace("North Europe")
    followed = [
        *recorded.all("azure-native:monitor:DataCollectionEndpoint"),
        *recorded.all("azure-native:monitor:DataCollectionRule"),
        *recorded.all(LOG_ALERT),
    ]
    assert {each.inputs["location"] for each in followed} == {"northeurope"}
    call = next(each for each in recorded.calls if each.token.endswith(":getWorkspace"))
    assert call.args == {"resourceGroupName": "monitoring", "workspaceName": "central"}


def test_an_existing_workspace_is_managed_through_its_own_subscription() -> None:
    recorded = with_shared_workspace()
    (provider,) = recorded.all("pulumi:providers:azure-native")
    assert provider.inputs["subscriptionId"] == OTHER_SUBSCRIPTION
    by_provider = {each.name for each in recorded.resources if provider.name in each.provider}
    assert by_provider == {"dp-quotas-table"}


# Workbook and budget


def test_the_workbook_is_listed_and_linked_in_the_portal_of_its_cloud() -> None:
    recorded = quotas(cloud=CLOUDS["usgovernment"])
    workbook = recorded.one("azure-native:applicationinsights:Workbook")
    assert workbook.inputs["resourceName"] == NAMES.guid("workbook")
    assert workbook.inputs["kind"] == "shared"
    assert workbook.inputs["category"] == "workbook"
    assert workbook.inputs["sourceId"] == "azure monitor"
    assert workbook.inputs["version"] == "Notebook/1.0"
    for resource in (ACCOUNT, BALANCER, recorded.result["workspace_id"]):
        assert f'"{resource}"' in workbook.inputs["serializedData"]
    url = recorded.result["dashboard_url"]
    assert url.startswith("https://portal.azure.us/#resource/subscriptions/")
    assert url.endswith("/workbook")


def test_there_is_no_budget_unless_one_is_asked_for() -> None:
    assert quotas(monthly_budget=0).all("azure-native:consumption:Budget") == []


def test_a_budget_watches_the_resource_group_and_tells_the_action_group() -> None:
    recorded = quotas(monthly_budget=500, warning_percent=40, critical_percent=80)
    budget = recorded.one("azure-native:consumption:Budget").inputs
    assert budget["scope"] == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NAMES.resource_group}"
    assert budget["amount"] == 500
    assert (budget["category"], budget["timeGrain"]) == ("Cost", "Monthly")
    told = {
        when: (each["thresholdType"], each["threshold"])
        for when, each in budget["notifications"].items()
    }
    assert told == {
        "warning": ("Actual", 40),
        "critical": ("Actual", 80),
        "forecast": ("Forecasted", 100),
    }
    for each in budget["notifications"].values():
        assert each["enabled"] is True
        assert each["contactGroups"] == [recorded.result["action_group_id"]]
        assert each["operator"] == "GreaterThanOrEqualTo"


def test_a_budget_begins_on_the_first_of_a_month_and_never_changes_by_itself() -> None:
    budget = quotas(monthly_budget=1).one("azure-native:consumption:Budget")
    assert budget.inputs["timePeriod"] == {"startDate": first_of_month(datetime.now(UTC))}
    assert budget.ignore_changes == {"timePeriod"}
    assert first_of_month(datetime(2026, 2, 28, 23, 59, tzinfo=UTC)) == "2026-02-01T00:00:00Z"


def test_a_budget_that_changes_begins_anew_since_azure_takes_no_month_of_the_past() -> None:
    budget = quotas(monthly_budget=1).one("azure-native:consumption:Budget")
    assert budget.replace_on_changes == {"amount", "notifications"}
    assert budget.delete_before_replace is True


# Lifecycle and contract


def test_what_azure_moves_to_no_other_region_is_replaced_the_old_one_first() -> None:
    recorded = quotas()
    bound = [
        *recorded.all(WORKSPACE),
        *recorded.all("azure-native:monitor:DataCollectionEndpoint"),
        *recorded.all("azure-native:monitor:DataCollectionRule"),
        *recorded.all("azure-native:applicationinsights:Workbook"),
        *recorded.all(LOG_ALERT),
    ]
    assert len(bound) == 9
    for each in bound:
        assert each.replace_on_changes == {"location"}
        assert each.delete_before_replace is True


def test_the_table_is_deleted_before_its_workspace_so_that_both_can_be_made_again() -> None:
    table = quotas().one("azure-native:operationalinsights:Table")
    assert table.deleted_with == ""
    assert not table.retain_on_delete


def test_all_that_takes_tags_has_them_and_each_is_a_child_of_the_part() -> None:
    recorded = quotas(monthly_budget=5)
    part = recorded.named("dp-quotas")
    assert part.type == "clouddp:index:QuotaAlerts"
    without_tags = {"Table", "RoleAssignment", "Budget"}
    for each in recorded.resources:
        if each is part:
            continue
        assert each.parent == part.urn
        assert each.name.startswith("dp-quotas-")
        if each.type.rpartition(":")[2] not in without_tags:
            assert each.inputs["tags"] == {"team": "endpoints"}


def test_physical_names_are_distinct_where_azure_wants_them_so() -> None:
    recorded = quotas()
    for kind in (LOG_ALERT, METRIC_ALERT):
        names = [each.inputs["ruleName"] for each in recorded.all(kind)]
        assert len(set(names)) == len(names)
        assert all(name.startswith(f"{NAMES.service}-") for name in names)
        assert not set(itertools.chain(*names)) & set("*#&+:<>?@%{}\\/")


def test_outputs_are_registered_under_the_attributes_names() -> None:
    recorded = quotas()
    assert recorded.component_outputs["dp-quotas"] == {
        "logsEndpoint": recorded.result["logs_endpoint"],
        "ruleImmutableId": recorded.result["rule_immutable_id"],
        "stream": recorded.result["stream"],
        "dashboardUrl": recorded.result["dashboard_url"],
        "actionGroupId": recorded.result["action_group_id"],
        "workspaceId": recorded.result["workspace_id"],
    }
