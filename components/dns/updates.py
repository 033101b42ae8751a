"""An alias (CNAME) in an organisation's own DNS, by updates that overwrite nobody's record.

Each change carries what must be there for it to happen (RFC 2136, section 2.4), so the server
itself refuses where somebody else was first. Updates and questions go over TCP and are signed with
the key (TSIG, RFC 8945): a server may show its records to holders of the key only.
"""

from __future__ import annotations

import binascii
import socket
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from .lookups import split_host

SECONDS = 10.0
# Kinds that are looked for where a name is in use, to say by what.
USUAL_KINDS = ("A", "AAAA", "NS", "MX", "TXT")


class UpdateFailed(Exception):
    """Why the server did not do it, as one sentence for the user."""


class NameInUse(UpdateFailed):
    """The name has a record of somebody else."""


@dataclass(frozen=True)
class Cname:
    """An alias: names in lower case, without a dot at their end; TTL in seconds."""

    fqdn: str
    target: str
    ttl: int


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A zone, the server that takes its updates, and the key that signs them."""

    name: str
    server: str
    """`host:port`, `[IPv6]:port` or `host`."""
    key_name: str
    key_algorithm: str
    key_secret: str = field(repr=False)
    """Base64."""

    def read(self, fqdn: str) -> Cname | None:
        """The alias that stands at a name, if one does.

        Raises:
            UpdateFailed: the server did not say.
        """
        reply = self._ask(fqdn, "CNAME")
        if any(rrset.rdtype == dns.rdatatype.DNAME for rrset in reply.answer):
            return None  # servers make up an alias where all above it leads elsewhere
        for rrset in reply.answer:
            for record in rrset:
                target = record.target.to_text(omit_final_dot=True).lower()
                return Cname(fqdn, target, rrset.ttl)
        return None

    def create(self, record: Cname) -> None:
        """Makes an alias where nothing is. The very same one is taken for ours.

        Raises:
            NameInUse: something else is there.
            UpdateFailed: the server refuses, or nobody would see the record.
        """
        self._insist_on_being_seen(record.fqdn)
        update = self._update()
        update.absent(_absolute(record.fqdn))
        update.add(_absolute(record.fqdn), record.ttl, "CNAME", _absolute(record.target))
        if self._send(update, record.fqdn) == dns.rcode.NOERROR:
            return
        there = self._same(record)
        if there != record:
            self.change(there, record)

    def foresee(self, record: Cname) -> None:
        """Finds out what `create` would meet, and changes nothing.

        Raises:
            NameInUse: something else is there.
            UpdateFailed: the server did not say, or nobody would see the record.
        """
        self._insist_on_being_seen(record.fqdn)
        question = self._update()  # what must be there alone, and no change
        question.absent(_absolute(record.fqdn))
        if self._send(question, record.fqdn) != dns.rcode.NOERROR:
            self._same(record)

    def change(self, old: Cname, new: Cname) -> None:
        """Changes an alias that is still as it was left, or makes it again where it is gone.

        Args:
            old: what should be there.
            new: the same name with another target or TTL.

        Raises:
            UpdateFailed: somebody changed it meanwhile, or the server refuses.
        """
        update = self._update()
        update.present(_absolute(old.fqdn), "CNAME", _absolute(old.target))
        update.replace(_absolute(new.fqdn), new.ttl, "CNAME", _absolute(new.target))
        if self._send(update, new.fqdn) == dns.rcode.NOERROR:
            return
        there = self.read(new.fqdn)
        if there is not None and there.target not in (old.target, new.target):
            raise UpdateFailed(
                f"{new.fqdn} leads to {there.target} by now, and not to {old.target} as this "
                "stack left it: run `pulumi refresh` to take note of that and `pulumi up` to "
                "put it right."
            )
        self.create(new)

    def remove(self, record: Cname) -> bool:
        """Removes an alias that still leads to the same target.

        Returns:
            Whether it did; else it was gone, or another one stands there, which stays.

        Raises:
            UpdateFailed: the server refuses.
        """
        update = self._update()
        update.present(_absolute(record.fqdn), "CNAME", _absolute(record.target))
        update.delete(_absolute(record.fqdn), "CNAME", _absolute(record.target))
        return self._send(update, record.fqdn) == dns.rcode.NOERROR

    def _insist_on_being_seen(self, fqdn: str) -> None:
        """Servers take records below a zone cut or a DNAME, and never show them (RFC 1034, 6672).

        Raises:
            NameInUse: the name lies there.
        """
        try:
            reply = self._ask(fqdn, "CNAME")
        except UpdateFailed:
            return  # the update itself says more
        for rrset in (*reply.authority, *reply.answer):
            above = rrset.name.to_text(omit_final_dot=True).lower()
            if rrset.rdtype == dns.rdatatype.NS and above != self.name:
                servers = ", ".join(each.target.to_text(omit_final_dot=True) for each in rrset)
                if above == fqdn:
                    found = f"{fqdn} is a zone of its own, delegated to {servers}: "
                else:
                    found = (
                        f"{fqdn} lies in the zone {above}, delegated to {servers}: set dns.zone to "
                        "that one and dns.server to its primary server, or "
                    )
                raise NameInUse(f"{found}choose another serviceFqdn.")
            if rrset.rdtype == dns.rdatatype.DNAME:
                target = rrset[0].target.to_text(omit_final_dot=True)
                raise NameInUse(
                    f"{fqdn} lies below {above}, all of which leads to {target} (DNAME): choose "
                    "another serviceFqdn."
                )

    def _same(self, record: Cname) -> Cname:
        """The alias at a name that is in use, if it leads where ours does."""
        there = self.read(record.fqdn)
        if there is None or there.target != record.target:
            raise NameInUse(
                f"{record.fqdn} is in use already in {self.name} on {self.server}: "
                f"{self._in_words(there, record.fqdn)}. Remove that record, or choose another "
                "serviceFqdn."
            )
        return there

    def _in_words(self, there: Cname | None, fqdn: str) -> str:
        if there is not None:
            return f"it is an alias (CNAME) of {there.target}"
        for kind in USUAL_KINDS:
            found = [
                record.to_text()
                for rrset in self._ask(fqdn, kind).answer
                if rrset.name.to_text(omit_final_dot=True).lower() == fqdn
                for record in rrset
            ]
            if found:
                return f"it has the {kind} record {found[0]}"
        return "it has records of a rare kind"

    @property
    def _key(self) -> dns.tsig.Key:
        try:
            return dns.tsig.Key(self.key_name, self.key_secret, self.key_algorithm)
        except binascii.Error:
            raise UpdateFailed(
                "dns.keySecret is not base64: give the key as it was made."
            ) from None

    def _update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(_absolute(self.name), keyring=self._key)

    def _ask(self, fqdn: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(_absolute(fqdn), kind)
        query.flags = 0  # no recursion: this server's own records count
        query.use_tsig(self._key)
        reply = self._exchange(query)
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise UpdateFailed(
                f"{self.server} does not answer for {fqdn} "
                f"({dns.rcode.to_text(reply.rcode())}): dns.server must be the primary server of "
                f"{self.name}, and let the key {self.key_name} ask."
            )
        return reply

    def _send(self, update: dns.update.UpdateMessage, fqdn: str) -> dns.rcode.Rcode:
        """Sends an update. Returns NOERROR, or what says that the name is not as it must be."""
        rcode = self._exchange(update).rcode()
        if rcode in (
            dns.rcode.NOERROR,
            dns.rcode.NXDOMAIN,
            dns.rcode.NXRRSET,
            dns.rcode.YXDOMAIN,
            dns.rcode.YXRRSET,
        ):
            return rcode
        raise UpdateFailed(
            f"{self.server} did not change {fqdn} in {self.name}: "
            + _REASONS.get(rcode, "it answered {rcode}.").format(
                zone=self.name, key=self.key_name, rcode=dns.rcode.to_text(rcode)
            )
        )

    def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        host, port = split_host(self.server)
        try:
            address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
            return dns.query.tcp(message, str(address), SECONDS, port)
        except dns.tsig.PeerBadKey:
            reason = (
                f"does not know the key {self.key_name} with {self.key_algorithm}: correct "
                "dns.keyName or dns.keyAlgorithm."
            )
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature):
            reason = f"has another secret for the key {self.key_name}: correct dns.keySecret."
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            reason = "has a clock that differs from this machine's by minutes: set them right."
        except socket.gaierror:
            reason = "has no address: correct dns.server."
        except dns.exception.Timeout:
            reason = f"did not answer within {SECONDS:.0f} s (TCP): is a firewall in between?"
        except dns.exception.DNSException as error:
            reason = f"sent no proper answer ({type(error).__name__}): is it a DNS server?"
        except (OSError, EOFError) as error:
            why = getattr(error, "strerror", None) or "it closed the connection"
            reason = f"cannot be reached over TCP ({why}): correct dns.server, or let it through."
        raise UpdateFailed(f"The DNS server {self.server} {reason}")


_REASONS = {
    dns.rcode.REFUSED: "it refuses to (REFUSED): let the key {key} update this name.",
    dns.rcode.NOTAUTH: (
        "it is no server of that zone, or does not take the key {key} (NOTAUTH): correct dns.zone, "
        "dns.server or dns.keyName."
    ),
    dns.rcode.NOTZONE: "it says that the name is not in that zone (NOTZONE): correct dns.zone.",
    dns.rcode.NOTIMP: "it takes no updates (NOTIMP): name the primary server in dns.server.",
    dns.rcode.SERVFAIL: (
        "it failed (SERVFAIL): look into its log, a zone that cannot be written is one reason."
    ),
}


def _absolute(name: str) -> str:
    return name.rstrip(".") + "."
