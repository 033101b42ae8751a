"""A DNS server that knows no name but a few, for programs that run without the data plane.

All other names are free then, and no look-up leaves the machine or waits for an answer.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Generator, Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

AUTHORITY = dns.rrset.from_text(".", 1, "IN", "SOA", ". . 1 1 1 1 1")


class _Server(socketserver.ThreadingUDPServer):
    known: Mapping[str, str]


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        packet, socket = self.request
        reply = dns.message.make_response(dns.message.from_wire(packet), recursion_available=True)
        reply.flags |= dns.flags.AA
        (question,) = reply.question
        address = self.server.known.get(question.name.to_text(omit_final_dot=True).lower())
        if (question.name, question.rdtype) == (AUTHORITY.name, AUTHORITY.rdtype):
            reply.answer.append(AUTHORITY)
        elif address is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            reply.authority.append(AUTHORITY)
        elif question.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", address))
        else:
            reply.authority.append(AUTHORITY)
        socket.sendto(reply.to_wire(), self.client_address)


@contextlib.contextmanager
def served(known: Mapping[str, str] | None = None) -> Generator[str]:
    """Serve on a free port of the loopback; yield it as a setting names it.

    Args:
        known: names and the addresses that they have.
    """
    with _Server(("127.0.0.1", 0), _Answer) as server:
        server.known = known or {}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
