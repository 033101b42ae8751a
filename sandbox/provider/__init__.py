"""The sandbox's Azure: a stand-in for the plug-in pulumi-resource-azure-native.

The engine runs this folder as a plug-in, one process for each provider of a command. All state is
in the SQLite file that CLOUDDP_SANDBOX_DB names; without that variable nothing starts. `schema`
reads what the SDK knows of each type, `rules` says what else there is to know (as data), `checks`
holds what a row cannot say, `cloud` is the state, `service` speaks the engine's protocol, and
`tool` (`python -m sandbox.provider --help`) changes things as somebody else would.

Tables, for the data plane's supervisor, for tests and for the curious:

resources   `key` (the id in lower case), `id`, `type` ("network:Subnet"), `body` (JSON: all inputs,
            secret ones too, and what Azure fills in), `revision` (grows with every write).
operations  Written when the setting `data_plane` is "on", for the types in `cloud.WAITED`:
            `resource_id`, `kind` ("created", "updated", "deleted"), `state` ("waiting"), `message`,
            `created` (Unix time). The resource's row is there already, or gone when deleted. The
            engine's operation waits, up to 20 minutes, until the supervisor sets `state` to "done"
            or to "failed" with a `message`, which then fails the operation; the resource stays.
names       Names that are unique in all of Azure, by DNS name (an account's by its blob end point),
            and the `key` of the owner; "" is somebody else.
refs        Which resource (`source`) refers to which id (`target`), both in lower case.
deleted     Soft-deleted vaults and workspaces, with what was in them.
births      How often a resource of an id was made: the next gets other principal ids and GUIDs.
faults      `type` ("network:*", or a pattern of ids), `operation` ("create", "update", "delete",
            "read", "check", "diff", "invoke" or "*"), `error` (fails with it), `latency_ms` (waits
            first), `times` (how often; null for ever).
settings    `data_plane`: "on" or "off". `data_plane_lock`: a file that the supervisor keeps locked
            while it runs; when it is free, operations fail at once instead of waiting.
            `subscriptions`: JSON list of those that exist.
            `virtual_ips`: beginning of the virtual IPs, "203.0.113." when absent.
            `absent_principals`: object ids that the directory does not have.
"""
