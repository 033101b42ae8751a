"""`up` of a program that waits, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from components.dns.lookups import VARIABLE
from tests.dns.program import make_program
from tests.dns.servers import ADDRESS, Bind, free_port

PROGRAM = """
import json, pathlib, pulumi
from components.dns import lookups
from components.readiness import waiting
from components.proxy import Proxy
from components.readiness.stages import Subject

class Point(pulumi.ComponentResource):
    def __init__(self, name, port):
        super().__init__("clouddp:test:Point", name)
        subject = Subject(
            service=name, fqdn="dp1.cloudapp.test", site_fqdn="dp1.cloudapp.test",
            virtual_ip="127.0.0.1", port=port,
        )
        self.report = waiting.wait_for(
            pulumi.Output.from_input(subject), instances=2,
            rhythm=waiting.Rhythm(timeout=1.0, interval=0.2),
            resolver=lookups.Resolver(lookups.nameservers(())), proxy=Proxy(),
            status_log=pathlib.Path("status.log"), resource=self,
        )
        self.status = self.report.apply(lambda report: report.status)
        self.register_outputs({"status": self.status})

ports = json.loads(pathlib.Path("ports").read_text())
points = [Point(f"dp{n}", port) for n, port in enumerate(ports)]
for n, point in enumerate(points):
    pulumi.export(f"status{n}", point.status)
waiting.insist([point.report for point in points])
"""


def test_up_fails_in_the_end_says_why_and_leaves_the_stack_as_it_is(
    bind: Callable[..., Bind], tmp_path: Path
) -> None:
    server = bind(zones={"cloudapp.test": f"dp1 A {ADDRESS}"})
    program = make_program(tmp_path, PROGRAM)
    program.variables[VARIABLE] = server.server
    closed = free_port()
    (program.folder / "ports").write_text(json.dumps([closed, closed]))

    preview = program.pulumi("preview")
    assert "waiting" not in preview
    assert not (program.folder / "status.log").exists()

    said = program.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "dp0: OK, dp1.cloudapp.test has the address 127.0.0.1" in said
    for name in ("dp0", "dp1"):
        assert (
            f"{name}: waited 1 s in vain to see whether 127.0.0.1:{closed} takes connections. "
            f"Expected: a TCP connection to 127.0.0.1:{closed}. Seen: Connection refused "
            f"(127.0.0.1:{closed})."
        ) in said
    assert "run `pulumi up` again" in said
    outputs = json.loads(program.pulumi("stack", "output", "--json"))
    waiting = f"Waiting to see whether 127.0.0.1:{closed} takes connections"
    assert outputs == {"status0": waiting, "status1": waiting}
    assert "Not ready" in (program.folder / "status.log").read_text()
    # The next one goes on: nothing is left half made or locked.
    program.pulumi("up", "--yes", "--skip-preview", fails=True)
