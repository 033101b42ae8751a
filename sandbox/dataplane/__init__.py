"""The sandbox's data plane: what really runs, as the control plane's database says.

`control` starts one supervisor (`__main__`, `supervisor`) in the background and ends it. Data flows
one way: the database -> `desired` (plain values) -> what runs. That is `accounts` (storage accounts
in one Azurite, `storage`), `names` (BIND), `machines` (the instances of a scale set, each an
`instance` in a folder with a `systemctl` and a `metadata` service of its own), `vault`, and `edge`
(nginx: load balancers that send to what `readiness` found ready, and the door of storage, where
`gate` judges by roles). `tokens` are what all of them know principals by.

Azure Monitor is `watch` (what the database has of rules and receivers), `monitor` (measures what
runs: bytes that the balancers sent, probes, what storage holds), `records` (keeps it), `metrics`
and `ingestion` (the end points that agents ask and post to), `alerts` (when rules fire and
resolve) and `notices` (tells receivers).

Everything listens on loopback addresses: `network` says on which, `servers` by which names. `room`
says where files are; logs are in `.sandbox/logs`. `processes` sees to it that nothing outlives the
supervisor. What waits on Azure for minutes (probes, pauses between batches of a rolling upgrade)
waits for seconds here. Only the public cloud is played, and firewalls are not.
"""
