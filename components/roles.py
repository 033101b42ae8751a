"""Azure roles that the distribution point hands out, and the one way to hand them out."""

from __future__ import annotations

from enum import StrEnum

import pulumi
from pulumi_azure_native import authorization

from .naming import Names


class Role(StrEnum):
    """Built-in roles by their id, the narrowest that do the work.

    Source: Microsoft Learn, "Azure built-in roles".
    """

    BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
    MONITORING_METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
    MONITORING_READER = "43d0d8ad-25c7-4714-9337-8ba259a9fe05"


def assign(
    name: str,
    *,
    names: Names,
    scope: pulumi.Input[str],
    role: Role,
    on: str,
    to: str,
    principal_id: pulumi.Input[str],
    principal_type: str | authorization.PrincipalType,
    subscription_id: pulumi.Input[str],
    parent: pulumi.Resource,
) -> authorization.RoleAssignment:
    """Gives a principal a role on a scope.

    The assignment's own name is a GUID that must be known in a preview, so it is made of settings
    and never of ids. Azure refuses to change an assignment's role or principal
    (``RoleAssignmentUpdateNotPermitted``), hence the role is part of the name, and the provider
    replaces the assignment by itself where scope or principal change.

    Args:
        name: logical name of the resource.
        names: physical names of the distribution point.
        scope: id of the Azure resource that the role holds for.
        role: what the principal may do there.
        on: word for the scope, stable over its replacement ("content", "vault").
        to: word for the principal, stable over its replacement ("service", an object id).
        principal_id: object id of the principal.
        principal_type: always sent. Without it the SDK sends ``User``, and Azure answers
            ``PrincipalNotFound`` for an identity that was made a moment ago.
        subscription_id: GUID of the subscription in which the role is looked up.
        parent: the part that this assignment belongs to.
    """
    return authorization.RoleAssignment(
        name,
        role_assignment_name=names.guid("role", role.value, on, to),
        scope=scope,
        role_definition_id=pulumi.Output.concat(
            "/subscriptions/",
            subscription_id,
            "/providers/Microsoft.Authorization/roleDefinitions/",
            role.value,
        ),
        principal_id=principal_id,
        principal_type=principal_type,
        opts=pulumi.ResourceOptions(parent=parent),
    )
