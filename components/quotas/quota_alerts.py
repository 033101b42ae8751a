"""QuotaAlerts: what is used of the quotas, who is told, and the picture of it.

No alert of Azure's looks back as far as a transfer period does (metric alerts one day, log alerts
two), so the agents on the instances add up and post rows, through a data collection rule, to a
table of a Log Analytics workspace, where log alerts read the newest. Storage and reachability are
platform metrics, which metric alerts watch without any agent.

Sources: MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/alerts/alerts-types.md`` (why a
metric alert watches one resource) and ``alerts/alerts-create-log-alert-rule.md``;
azure-rest-api-specs ``specification/consumption/resource-manager/Microsoft.Consumption/stable/
2024-08-01/consumption.json`` (when a budget may begin, "within the timegrain period", and whom it
tells).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NotRequired

import pulumi
from pulumi_azure_native import (
    applicationinsights,
    authorization,
    consumption,
    monitor,
)

from ..clouds import Cloud
from ..parts import PartArgs
from ..roles import Role, assign
from . import workbook
from .alert_rules import (
    AlertRule,
    LogRule,
    MetricRule,
    Source,
    alert_rules,
    custom_properties,
    description,
)
from .usage_log import UsageLog, bound_to_its_region, usage_log
from .usage_table import stream_name, table_name

if TYPE_CHECKING:
    from pydantic import SecretStr

EVERYWHERE = "global"
LONGEST_SHORT_NAME = 12


class QuotaAlertsArgs(PartArgs):
    """What QuotaAlerts are made of."""

    cloud: Cloud
    """The Azure cloud, for the workbook's address."""
    description: str
    """What the distribution point is for, in the words of its owner."""
    subscription_id: pulumi.Input[str]
    """Subscription of the distribution point."""
    storage_account_id: pulumi.Input[str]
    """Storage account whose used capacity counts."""
    load_balancer_id: pulumi.Input[str]
    """Load balancer whose traffic counts."""
    scale_set_id: pulumi.Input[str]
    """Scale set on which the agents run."""
    principal_id: pulumi.Input[str]
    """Object id of the identity with which the agents read metrics and post rows."""
    storage_quota_gb: int
    """Storage quota in GB (10^9 bytes)."""
    transfer_quota_gb: int
    """Transfer quota in GB (10^9 bytes)."""
    transfer_period_days: int
    """Days over which transfer counts, 1 to 90."""
    warning_percent: int
    """Percent of a quota from which to warn."""
    critical_percent: int
    """Percent of a quota that is critical."""
    stop_at_critical: NotRequired[bool]
    """Whether the service stops to serve content at the critical threshold of transfer."""
    certificate_warning_days: int
    """Days before its end from which a certificate is to be renewed."""
    alert_emails: Sequence[str]
    """Who gets a mail."""
    alert_webhooks: Sequence[SecretStr]
    """URLs that get the alert in the common schema. Secret, since many carry a token."""
    monthly_budget: int
    """Budget for a month, in the subscription's currency; 0 for none."""
    instances: int
    """How many instances there should be; 0 when the service is stopped."""
    service_port: int
    """Port on which content is served."""
    log_workspace_id: str | None
    """An existing Log Analytics workspace, in any subscription; None for one of its own."""


class QuotaAlerts(pulumi.ComponentResource):
    """Alerts on quotas, certificate, agent and reachability, with workbook and budget."""

    logs_endpoint: pulumi.Output[str]
    """URL to which rows are posted."""
    rule_immutable_id: pulumi.Output[str]
    """Immutable id of the data collection rule, part of the URL of a post."""
    stream: str
    """Name of the rule's stream, part of the URL of a post."""
    dashboard_url: pulumi.Output[str]
    """URL of the workbook in the Azure portal."""
    action_group_id: pulumi.Output[str]
    """Id of the action group that is told."""
    workspace_id: pulumi.Output[str]
    """Id of the Log Analytics workspace."""

    def __init__(
        self, name: str, args: QuotaAlertsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:QuotaAlerts", name, None, opts)
        log = usage_log(name, args, args["log_workspace_id"], self)
        self._roles(name, args, log)
        group = self._action_group(name, args)
        picture = self._picture(name, args, log)
        dashboard_url = pulumi.Output.concat(
            args["cloud"].portal, "/#resource", picture.id, "/workbook"
        )
        for alert in _alert_rules(args):
            if isinstance(alert, LogRule):
                self._log_alert(name, args, alert, log, group, dashboard_url)
            elif isinstance(alert, MetricRule):
                self._metric_alert(name, args, alert, group, dashboard_url)
        if args["monthly_budget"]:
            self._budget(name, args, group)

        self.logs_endpoint = log.endpoint.logs_ingestion.apply(
            lambda ingestion: ingestion.endpoint if ingestion else ""
        )
        self.rule_immutable_id = log.rule.immutable_id
        self.stream = stream_name(args["names"])
        self.dashboard_url = dashboard_url
        self.action_group_id = group.id
        self.workspace_id = log.workspace.id
        self.register_outputs(
            {
                "logsEndpoint": self.logs_endpoint,
                "ruleImmutableId": self.rule_immutable_id,
                "stream": self.stream,
                "dashboardUrl": self.dashboard_url,
                "actionGroupId": self.action_group_id,
                "workspaceId": self.workspace_id,
            }
        )

    def _roles(self, name: str, args: QuotaAlertsArgs, log: UsageLog) -> None:
        """What the agents may: post through this rule, read the metrics of two resources."""
        for role, on, scope in (
            (Role.MONITORING_METRICS_PUBLISHER, "usage", log.rule.id),
            (Role.MONITORING_READER, "balancer", args["load_balancer_id"]),
            (Role.MONITORING_READER, "content", args["storage_account_id"]),
        ):
            assign(
                f"{name}-{on}-role",
                names=args["names"],
                scope=scope,
                role=role,
                on=on,
                to="service",
                principal_id=args["principal_id"],
                principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
                subscription_id=args["subscription_id"],
                parent=self,
            )

    def _action_group(self, name: str, args: QuotaAlertsArgs) -> monitor.ActionGroup:
        return monitor.ActionGroup(
            f"{name}-receivers",
            action_group_name=args["names"].of("receivers"),
            group_short_name=args["names"].service[:LONGEST_SHORT_NAME],
            resource_group_name=args["resource_group_name"],
            location=EVERYWHERE,
            tags=args["tags"],
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name=address, email_address=address, use_common_alert_schema=True
                )
                for address in args["alert_emails"]
            ],
            webhook_receivers=[
                monitor.WebhookReceiverArgs(
                    name=f"webhook {number}",
                    service_uri=pulumi.Output.secret(url.get_secret_value()),
                    use_common_alert_schema=True,
                )
                for number, url in enumerate(args["alert_webhooks"], start=1)
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _picture(
        self, name: str, args: QuotaAlertsArgs, log: UsageLog
    ) -> applicationinsights.Workbook:
        names = args["names"]
        picture = workbook.Picture(
            fqdn=names.fqdn,
            description=args["description"],
            service=names.service,
            table=table_name(names),
            transfer_period_days=args["transfer_period_days"],
            certificate_warning_days=args["certificate_warning_days"],
            instances=args["instances"],
            service_port=args["service_port"],
        )
        return applicationinsights.Workbook(
            f"{name}-workbook",
            # Azure wants a GUID here.
            resource_name_=names.guid("workbook"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            display_name=f"Distribution point {names.fqdn}",
            description=args["description"] or None,
            kind=applicationinsights.WorkbookSharedTypeKind.SHARED,
            category="workbook",
            # Where the portal lists it: among the workbooks of Azure Monitor. Azure keeps this in
            # lower case.
            source_id="azure monitor",
            version=workbook.VERSION,
            serialized_data=pulumi.Output.all(
                workspace_id=log.workspace.id,
                storage_account_id=args["storage_account_id"],
                load_balancer_id=args["load_balancer_id"],
            ).apply(lambda ids: workbook.serialized(picture, **ids)),
            opts=bound_to_its_region(self),
        )

    def _log_alert(
        self,
        name: str,
        args: QuotaAlertsArgs,
        alert: LogRule,
        log: UsageLog,
        group: monitor.ActionGroup,
        dashboard_url: pulumi.Output[str],
    ) -> None:
        monitor.ScheduledQueryRule(
            f"{name}-{alert.role}",
            rule_name=args["names"].of(alert.role),
            resource_group_name=args["resource_group_name"],
            location=log.workspace.region,
            tags=args["tags"],
            kind=monitor.Kind.LOG_ALERT,
            display_name=f"{args['names'].fqdn}: {alert.title}",
            description=description(args["names"], alert),
            severity=alert.severity,
            enabled=_enabled(args, alert),
            scopes=[log.workspace.id],
            evaluation_frequency=alert.every,
            window_size=alert.window,
            auto_mitigate=True,
            # The table was made a moment ago, and the check of the query may not know it yet.
            skip_query_validation=True,
            criteria=monitor.ScheduledQueryRuleCriteriaArgs(
                all_of=[
                    monitor.ConditionArgs(
                        criterion_type=monitor.CriterionType.STATIC_THRESHOLD_CRITERION,
                        query=alert.query,
                        metric_measure_column=alert.column,
                        time_aggregation=alert.aggregation,
                        operator=alert.compare.value,
                        threshold=alert.threshold,
                        failing_periods=monitor.ConditionFailingPeriodsArgs(
                            number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                        ),
                    )
                ]
            ),
            actions=monitor.ActionsArgs(
                action_groups=[group.id],
                custom_properties=_properties(args, alert, dashboard_url),
            ),
            opts=bound_to_its_region(self, log.table),
        )

    def _metric_alert(
        self,
        name: str,
        args: QuotaAlertsArgs,
        alert: MetricRule,
        group: monitor.ActionGroup,
        dashboard_url: pulumi.Output[str],
    ) -> None:
        watched = {
            Source.BALANCER: args["load_balancer_id"],
            Source.STORAGE: args["storage_account_id"],
        }
        monitor.MetricAlert(
            f"{name}-{alert.role}",
            rule_name=args["names"].of(alert.role),
            resource_group_name=args["resource_group_name"],
            location=EVERYWHERE,
            tags=args["tags"],
            description=description(args["names"], alert),
            severity=alert.severity,
            enabled=_enabled(args, alert),
            # One resource a rule: neither balancers nor storage accounts can share one.
            scopes=[watched[alert.source]],
            evaluation_frequency=alert.every,
            window_size=alert.window,
            auto_mitigate=True,
            # A dict would go out in snake case here, since the SDK cannot tell which of three
            # kinds of criteria it is.
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                all_of=[
                    monitor.MetricCriteriaArgs(
                        criterion_type="StaticThresholdCriterion",
                        name=alert.metric,
                        metric_namespace=alert.source.value,
                        metric_name=alert.metric,
                        time_aggregation=monitor.AggregationTypeEnum.AVERAGE,
                        operator=alert.compare.value,
                        threshold=alert.threshold,
                    )
                ],
            ),
            actions=[
                monitor.MetricAlertActionArgs(
                    action_group_id=group.id,
                    web_hook_properties=_properties(args, alert, dashboard_url),
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _budget(self, name: str, args: QuotaAlertsArgs, group: monitor.ActionGroup) -> None:
        """A budget on the resource group; in a shared group it counts what else is in it, too."""
        actual, forecast = consumption.ThresholdType.ACTUAL, consumption.ThresholdType.FORECASTED
        consumption.Budget(
            f"{name}-budget",
            budget_name=args["names"].of("budget"),
            scope=pulumi.Output.concat(
                "/subscriptions/",
                args["subscription_id"],
                "/resourceGroups/",
                args["resource_group_name"],
            ),
            category=consumption.CategoryType.COST,
            amount=args["monthly_budget"],
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(
                start_date=first_of_month(datetime.now(UTC))
            ),
            notifications={
                when: consumption.NotificationArgs(
                    enabled=True,
                    operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
                    threshold=percent,
                    threshold_type=kind,
                    contact_emails=[],
                    contact_groups=[group.id],
                )
                for when, kind, percent in (
                    ("warning", actual, args["warning_percent"]),
                    ("critical", actual, args["critical_percent"]),
                    ("forecast", forecast, 100),
                )
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # A budget begins in the month in which it is made and keeps that beginning: Azure
                # takes no earlier one, and a new one every month would be a change every month.
                # A replacement gets the current month, since the engine then ignores nothing.
                ignore_changes=["timePeriod"],
                # An update would send the old beginning, which by then may lie before the month
                # that Azure takes. A budget holds nothing that a new one of its name lacks.
                replace_on_changes=["amount", "notifications"],
                delete_before_replace=True,
            ),
        )


def first_of_month(moment: datetime) -> str:
    """The beginning of a month as a budget wants it.

    Args:
        moment: any moment of the month, in UTC.
    """
    return f"{moment:%Y-%m}-01T00:00:00Z"


def _alert_rules(args: QuotaAlertsArgs) -> tuple[AlertRule, ...]:
    return alert_rules(
        args["names"],
        storage_quota_gb=args["storage_quota_gb"],
        transfer_quota_gb=args["transfer_quota_gb"],
        transfer_period_days=args["transfer_period_days"],
        warning_percent=args["warning_percent"],
        critical_percent=args["critical_percent"],
        stop_at_critical=args.get("stop_at_critical", False),
        certificate_warning_days=args["certificate_warning_days"],
        instances=args["instances"],
    )


def _enabled(args: QuotaAlertsArgs, alert: AlertRule) -> bool:
    """Off rather than gone: a stopped service neither answers nor posts, and will come back."""
    return args["instances"] > 0 or not alert.of_instances


def _properties(
    args: QuotaAlertsArgs, alert: AlertRule, dashboard_url: pulumi.Output[str]
) -> dict[str, pulumi.Input[str]]:
    properties: dict[str, pulumi.Input[str]] = {
        **custom_properties(args["names"], alert),
        "workbook": dashboard_url,
    }
    if alert.after_instances:
        # This makes the alert wait for the scale set, too: before it there is only silence.
        properties["scaleSet"] = args["scale_set_id"]
    return properties
