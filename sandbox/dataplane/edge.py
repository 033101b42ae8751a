"""What clients connect to: load balancers, and the door of storage. One nginx.

Balancers pass TCP on to the instances that are ready, as Azure's do: by a digest of the addresses
and ports, without a second try, and what runs goes on when an instance stops being ready. Where
none is ready, nobody listens. The door of storage asks the `StorageGate` before it lets a request
through to Azurite, which knows no roles.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import packages
from sandbox.dataplane.desired import Rule
from sandbox.dataplane.processes import Server


@dataclass(frozen=True, kw_only=True)
class Door:
    """The door of storage; addresses as `host:port`."""

    listen: str
    azurite: str
    gate: str
    certificate: Path
    key: Path


class Edge:
    """The one nginx, started again with each change; connections that are open stay open."""

    def __init__(self, folder: Path, door: Door, log: Path, traffic: Path) -> None:
        """Name it; nothing is started yet.

        Args:
            folder: Where it keeps its own files.
            door: The door of storage.
            log: What goes wrong.
            traffic: Gets a line for each connection through a balancer, when it ends.
        """
        self._folder = folder
        self._door = door
        self._log = log
        self._traffic = traffic
        self._file = folder / "nginx.conf"
        self._text = ""
        self._process = Server(
            ["nginx", "-e", log, "-c", self._file],
            log=log,
            environment=packages.environment(*packages.NGINX),
        )

    def apply(self, backends: Mapping[Rule, Sequence[str]]) -> None:
        """Balance so from now on.

        Args:
            backends: For each rule, the addresses of the instances that are ready.
        """
        text = self._rendered(backends)
        if text != self._text:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file.write_text(text)
            self._text = text
            self._process.reload()
        self._process.ensure()

    def wait(self) -> None:
        """Wait until the door of storage is open.

        Raises:
            Problem: It does not open.
        """
        host, _, port = self._door.listen.rpartition(":")
        self._process.wait_for(host, int(port))

    def stop(self) -> None:
        """End it, and what runs through it."""
        self._process.stop()

    def _rendered(self, backends: Mapping[Rule, Sequence[str]]) -> str:
        balancers = "".join(
            _balancer(f"balancer_{number}", rule, addresses)
            for number, (rule, addresses) in enumerate(backends.items())
            if addresses
        )
        door, folder = self._door, self._folder
        return f"""\
load_module modules/ngx_stream_module.so;
daemon off;
user {pwd.getpwuid(os.geteuid()).pw_name};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {self._log} error;
events {{ worker_connections 4096; }}
stream {{
    log_format traffic "$msec $server_addr $server_port $bytes_sent $bytes_received";
    # Not of those who only look whether anybody listens.
    access_log {self._traffic} traffic if=$bytes_received;
{balancers}}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream azurite {{ server {door.azurite}; keepalive 16; }}
    server {{
        listen {door.listen} ssl;
        ssl_certificate {door.certificate};
        ssl_certificate_key {door.key};
        location / {{
            auth_request /.gate;
            proxy_pass https://azurite;
            proxy_set_header Host $host;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_buffers 8 128k;
            proxy_busy_buffers_size 256k;
            proxy_read_timeout 300s;
            error_page 403 = @refused;
        }}
        location @refused {{
            add_header x-ms-error-code AuthorizationPermissionMismatch always;
            return 403 "No role lets this principal do this.";
        }}
        location = /.gate {{
            internal;
            proxy_pass http://{door.gate}/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Method $request_method;
            proxy_set_header X-Host $host;
            proxy_set_header X-Path $request_uri;
        }}
    }}
}}
"""


def _balancer(name: str, rule: Rule, addresses: Sequence[str]) -> str:
    servers = "".join(f" server {each}:{rule.backend_port} max_fails=0;" for each in addresses)
    return f"""\
    upstream {name} {{ hash "$remote_addr:$remote_port";{servers} }}
    server {{
        listen {rule.address}:{rule.port};
        proxy_pass {name};
        proxy_connect_timeout 3s;
        proxy_next_upstream off;
        proxy_timeout {rule.idle_minutes}m;
        proxy_buffer_size 64k;
    }}
"""
