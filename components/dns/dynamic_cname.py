"""DynamicCname: an alias in an organisation's own DNS as a resource of the stack.

The engine runs the folder `plugin` for it, which `Pulumi.yaml` names under `plugins.providers`.
"""

from __future__ import annotations

import pulumi


class DynamicCname(pulumi.CustomResource):
    """A CNAME record made by signed dynamic updates (RFC 2136).

    Another name replaces the record; all else changes in place. A record of somebody else is
    never overwritten, and `destroy` removes only what is still as it was made.
    """

    fqdn: pulumi.Output[str]
    """The name of the record."""
    target: pulumi.Output[str]
    """The name that it leads to."""
    ttl: pulumi.Output[int]
    """Time to live in seconds."""

    def __init__(
        self,
        name: str,
        *,
        fqdn: str,
        target: pulumi.Input[str],
        server: str,
        zone: str,
        key_name: str,
        key_algorithm: str,
        key_secret: pulumi.Input[str],
        ttl: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the record.

        Args:
            name: logical name.
            fqdn: name of the record, lower case, no dot at its end; inside `zone`.
            target: name that it leads to.
            server: primary server of the zone, as `host:port`.
            zone: name of the zone.
            key_name: name of the TSIG key.
            key_algorithm: its algorithm, such as `hmac-sha256`.
            key_secret: the key in base64; kept as a secret whether it is marked or not.
            ttl: time to live in seconds.
            opts: the resource's options.
        """
        super().__init__(
            "clouddp-dns:index:DynamicCname",
            name,
            {
                "fqdn": fqdn,
                "target": target,
                "server": server,
                "zone": zone,
                "keyName": key_name,
                "keyAlgorithm": key_algorithm,
                "keySecret": pulumi.Output.secret(key_secret),
                "ttl": ttl,
            },
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["keySecret"])
            ),
        )
