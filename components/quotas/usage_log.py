"""Where the agents' rows go: workspace, table, and the rule and end point to post through.

Sources: MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/logs/
logs-ingestion-api-overview.md`` (what a rule needs, and that rule and end point are in the
workspace's region), ``logs/delete-workspace.md``, ``logs/data-retention-configure.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import monitor, operationalinsights

from ..parts import PartArgs
from ..providers import for_subscription
from ..regions import normalise_region
from ..values import arm_names
from .usage_table import COLUMNS, stream_name, table_name

LONGEST_TRANSFER_PERIOD_DAYS = 90
WORKSPACE_RETENTION_DAYS = 30
DAILY_CAP_GB = 1.0
DESTINATION = "workspace"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A Log Analytics workspace, of the distribution point's own or an existing one."""

    id: pulumi.Output[str]
    name: pulumi.Input[str]
    group: pulumi.Input[str]
    region: pulumi.Input[str]
    provider: pulumi.ProviderResource | None
    """The provider for its subscription; None for the distribution point's."""


@dataclass(frozen=True, kw_only=True)
class UsageLog:
    """What others need of it."""

    workspace: Workspace
    table: operationalinsights.Table
    endpoint: monitor.DataCollectionEndpoint
    rule: monitor.DataCollectionRule


def usage_log(
    name: str, args: PartArgs, log_workspace_id: str | None, parent: pulumi.Resource
) -> UsageLog:
    """Registers table, end point and rule, and a workspace where none is given.

    Args:
        name: beginning of the logical names.
        args: what every part knows.
        log_workspace_id: id of an existing workspace, in any subscription and region.
        parent: the part that these resources belong to.
    """
    workspace = (
        _existing_workspace(log_workspace_id, parent)
        if log_workspace_id
        else _own_workspace(name, args, parent)
    )
    table = _table(name, args, workspace, parent)
    endpoint = monitor.DataCollectionEndpoint(
        f"{name}-endpoint",
        data_collection_endpoint_name=args["names"].of("usage"),
        resource_group_name=args["resource_group_name"],
        location=workspace.region,
        tags=args["tags"],
        description=f"Takes the figures of distribution point {args['names'].fqdn}.",
        network_acls=monitor.DataCollectionEndpointNetworkAclsArgs(
            # Agents come from the distribution point's public address, and each post needs a token
            # of the identity that holds the role on the rule.
            public_network_access=monitor.KnownPublicNetworkAccessOptions.ENABLED
        ),
        opts=bound_to_its_region(parent),
    )
    return UsageLog(
        workspace=workspace,
        table=table,
        endpoint=endpoint,
        rule=_rule(name, args, workspace, table, endpoint, parent),
    )


def bound_to_its_region(parent: pulumi.Resource, *needs: pulumi.Resource) -> pulumi.ResourceOptions:
    """Options of what Azure moves to no other region, and whose name is fixed.

    Args:
        parent: the part that the resource belongs to.
        needs: resources that are only named in it, so that the engine does not see the need.
    """
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=needs,
        replace_on_changes=["location"],
        delete_before_replace=True,
    )


def _own_workspace(name: str, args: PartArgs, parent: pulumi.Resource) -> Workspace:
    own = operationalinsights.Workspace(
        f"{name}-workspace",
        workspace_name=args["names"].log_workspace,
        resource_group_name=args["resource_group_name"],
        location=args["location"],
        tags=args["tags"],
        sku=operationalinsights.WorkspaceSkuArgs(
            name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018
        ),
        # The price of a row includes a month; the one table that needs more says so itself.
        retention_in_days=WORKSPACE_RETENTION_DAYS,
        # A distribution point's rows are a few megabytes a day: this bounds the bill of a broken
        # agent.
        workspace_capping=operationalinsights.WorkspaceCappingArgs(daily_quota_gb=DAILY_CAP_GB),
        features=operationalinsights.WorkspaceFeaturesArgs(
            # Workspace keys would be a second way in that no role governs.
            disable_local_auth=True,
            enable_log_access_using_only_resource_permissions=True,
        ),
        public_network_access_for_ingestion=operationalinsights.PublicNetworkAccessType.ENABLED,
        public_network_access_for_query=operationalinsights.PublicNetworkAccessType.ENABLED,
        opts=bound_to_its_region(parent),
    )
    return Workspace(
        id=own.id,
        name=own.name,
        group=args["resource_group_name"],
        region=args["location"],
        provider=None,
    )


def _existing_workspace(workspace_id: str, parent: pulumi.Resource) -> Workspace:
    subscription, group, name = arm_names(workspace_id)
    provider = for_subscription(subscription)
    found = operationalinsights.get_workspace_output(
        resource_group_name=group,
        workspace_name=name,
        opts=pulumi.InvokeOutputOptions(parent=parent, provider=provider),
    )
    return Workspace(
        id=pulumi.Output.from_input(workspace_id),
        name=name,
        group=group,
        region=found.location.apply(normalise_region),
        provider=provider,
    )


def _table(
    name: str, args: PartArgs, workspace: Workspace, parent: pulumi.Resource
) -> operationalinsights.Table:
    table = table_name(args["names"])
    return operationalinsights.Table(
        f"{name}-table",
        table_name=table,
        workspace_name=workspace.name,
        resource_group_name=workspace.group,
        # The cheaper plans have no alerts.
        plan=operationalinsights.TablePlanEnum.ANALYTICS,
        # The longest transfer period that a stack may ask for, so that the workbook shows all of
        # it, and a longer period waits for nothing.
        retention_in_days=LONGEST_TRANSFER_PERIOD_DAYS,
        total_retention_in_days=LONGEST_TRANSFER_PERIOD_DAYS,
        schema=operationalinsights.SchemaArgs(
            name=table,
            columns=[
                operationalinsights.ColumnArgs(
                    name=column.name, type=column.kind.in_table, description=column.description
                )
                for column in COLUMNS
            ],
        ),
        # Deleted before its workspace: made again within two weeks, a workspace comes back with its
        # tables, and the provider refuses to create one that is already there.
        opts=pulumi.ResourceOptions(parent=parent, provider=workspace.provider),
    )


def _rule(
    name: str,
    args: PartArgs,
    workspace: Workspace,
    table: operationalinsights.Table,
    endpoint: monitor.DataCollectionEndpoint,
    parent: pulumi.Resource,
) -> monitor.DataCollectionRule:
    stream = stream_name(args["names"])
    return monitor.DataCollectionRule(
        f"{name}-rule",
        data_collection_rule_name=args["names"].of("usage"),
        resource_group_name=args["resource_group_name"],
        location=workspace.region,
        tags=args["tags"],
        description=f"Rows of distribution point {args['names'].fqdn} to their table.",
        data_collection_endpoint_id=endpoint.id,
        stream_declarations={
            stream: monitor.StreamDeclarationArgs(
                columns=[
                    monitor.ColumnDefinitionArgs(name=column.name, type=column.kind.value)
                    for column in COLUMNS
                ]
            )
        },
        destinations=monitor.DataCollectionRuleDestinationsArgs(
            log_analytics=[
                monitor.LogAnalyticsDestinationArgs(
                    name=DESTINATION, workspace_resource_id=workspace.id
                )
            ]
        ),
        data_flows=[
            monitor.DataFlowArgs(
                streams=[stream],
                destinations=[DESTINATION],
                transform_kql="source",
                output_stream=stream,
            )
        ],
        opts=bound_to_its_region(parent, table),
    )
