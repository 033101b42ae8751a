"""The chain that is served: found by signature, in order, without its root."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from components.certificate.chain import Chain, order
from tests.unit.certificates import (
    NOW,
    Authority,
    ec_key,
    intermediate,
    make_authority,
    make_certificate,
    root,
)


def leaf(issuer: Authority) -> x509.Certificate:
    return make_certificate("cdp1.contoso.com", ec_key(), issuer=issuer)


def chain(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> Chain:
    return order(certificate, others, NOW)


def test_any_order_in_the_file_gives_the_same_chain() -> None:
    low = make_authority("Low", issuer=intermediate())
    own = leaf(low)
    everything = [low.certificate, intermediate().certificate, root().certificate, own]
    wanted = Chain((low.certificate, intermediate().certificate), root().certificate, None)
    for others in itertools.permutations(everything):
        assert chain(own, others) == wanted


def test_without_its_root_the_chain_is_as_long_as_it_can_be() -> None:
    low = make_authority("Low", issuer=intermediate())
    found = chain(leaf(low), [intermediate().certificate, low.certificate])
    assert found == Chain((low.certificate, intermediate().certificate), None, None)


def test_an_authority_of_the_right_name_and_another_key_is_left_out() -> None:
    namesake = make_authority("Contoso Test Issuing", issuer=root())
    found = chain(leaf(intermediate()), [namesake.certificate, root().certificate])
    assert found == Chain((), None, None)


def test_an_issuer_whose_name_is_spelt_otherwise_is_found_by_its_signature() -> None:
    key = ec_key(ec.SECP384R1)
    renamed = make_certificate("Contoso Issuing G2", key, issuer=root(), ca=True)
    found = chain(leaf(Authority(root().certificate, key)), [renamed, root().certificate])
    assert found == Chain((renamed,), root().certificate, None)


def test_cross_signed_authorities_end_in_the_shortest_way_to_a_root() -> None:
    key = ec_key(ec.SECP384R1)
    old_root = make_authority("Old Root")
    new_root = make_authority("New Root", key=key)
    crossed = make_certificate("New Root", key, issuer=old_root, ca=True)
    issuing = make_authority("Issuing", issuer=new_root)
    pool = [crossed, old_root.certificate, new_root.certificate, issuing.certificate]
    for others in itertools.permutations(pool):
        assert chain(leaf(issuing), others) == Chain(
            (issuing.certificate,), new_root.certificate, None
        )
    without_new = [crossed, old_root.certificate, issuing.certificate]
    assert chain(leaf(issuing), without_new) == Chain(
        (issuing.certificate, crossed), old_root.certificate, None
    )


def test_authorities_that_issue_each_other_come_to_an_end() -> None:
    one, two = ec_key(ec.SECP384R1), ec_key(ec.SECP521R1)
    first = make_authority("One", key=one)
    second = make_authority("Two", key=two)
    crossed = [
        make_certificate("One", one, issuer=second, ca=True),
        make_certificate("Two", two, issuer=first, ca=True),
    ]
    found = chain(leaf(first), crossed)
    assert found.intermediates == tuple(crossed)
    assert found.root is None


def test_of_two_equal_intermediates_the_valid_one_is_sent() -> None:
    key = ec_key(ec.SECP384R1)
    old = make_authority("Issuing", issuer=root(), key=key, ends=timedelta(hours=-1))
    new = make_authority("Issuing", issuer=root(), key=key)
    for others in itertools.permutations([old.certificate, new.certificate, root().certificate]):
        assert chain(leaf(new), others).intermediates == (new.certificate,)


def test_a_valid_way_goes_before_a_shorter_one_that_has_expired() -> None:
    key = ec_key(ec.SECP384R1)
    other_root = make_authority("Other Root")
    expired = make_authority("Issuing", issuer=root(), key=key, ends=timedelta(hours=-1))
    crossed = make_authority("Issuing", issuer=other_root, key=key)
    own = leaf(crossed)
    for known in ((), (other_root.certificate,)):
        pool = [expired.certificate, crossed.certificate, root().certificate, *known]
        for others in itertools.permutations(pool):
            assert chain(own, others).intermediates == (crossed.certificate,)


def test_whoever_may_issue_nothing_is_never_sent() -> None:
    key = ec_key(ec.SECP384R1)
    for ca in (None, False):
        server = make_certificate("Another server", key, issuer=root(), ca=ca)
        own = leaf(Authority(server, key))
        assert chain(own, [server, root().certificate]) == Chain((), None, server)


def test_a_root_with_a_weak_signature_is_harmless() -> None:
    weak_root = make_authority("Weak Root", digest=hashes.SHA224())
    issuing = make_authority("Issuing", issuer=weak_root)
    found = chain(leaf(issuing), [weak_root.certificate, issuing.certificate])
    assert found == Chain((issuing.certificate,), weak_root.certificate, None)


def test_a_weak_intermediate_is_never_sent() -> None:
    key = ec_key(ec.SECP384R1)
    weak = make_authority("Issuing", issuer=root(), key=key, digest=hashes.SHA224())
    strong = make_authority("Issuing", issuer=root(), key=key)
    found = chain(leaf(weak), [weak.certificate, root().certificate])
    assert found == Chain((), None, weak.certificate)
    found = chain(leaf(weak), [weak.certificate, strong.certificate, root().certificate])
    assert found == Chain((strong.certificate,), root().certificate, None)


def test_what_does_not_belong_to_the_chain_is_left_out() -> None:
    strangers = [make_authority(f"Stranger {number}").certificate for number in range(5)]
    pool = [*strangers, intermediate().certificate, root().certificate]
    random.Random(1).shuffle(pool)  # noqa: S311
    assert chain(leaf(intermediate()), pool) == Chain(
        (intermediate().certificate,), root().certificate, None
    )
