"""Which names a certificate covers, held against an independent reading of RFC 6125 and 9525."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.certificate import CertificateError, ServiceCertificate
from tests.unit.certificates import PASSWORD, make_pfx

LABELS = st.sampled_from(["a", "b", "cdp1", "x-y", "xn--bcher-kva", "contoso", "com", "0a"])
HOSTS = st.lists(LABELS, min_size=2, max_size=5).map(".".join)
PATTERNS = st.one_of(
    HOSTS,
    HOSTS.map("*.{}".format),
    HOSTS.map("*.*.{}".format),
    HOSTS.map("a*.{}".format),
    HOSTS.map("*a.{}".format),
    HOSTS.map("a.*.{}".format),
    HOSTS.map("{}.".format),
    HOSTS.map(str.upper),
    st.sampled_from(["*", "*.com", "*.", ".a.com", "a..com", "", "-a.com", "127.0.0.1", "*.0.0.1"]),
)
SPELLINGS = st.sampled_from([str, str.upper, str.title, "{}.".format])


@functools.lru_cache(maxsize=2000)
def certificate(names: tuple[str, ...]) -> ServiceCertificate:
    data = make_pfx("Contoso", names=("only.example", *names), password="")
    return ServiceCertificate.read(data, None)


def reference(presented: str, host: str) -> bool:
    """RFC 9525 section 6.3, label by label, with the two limits that all clients add.

    These are: a wildcard needs two labels to its right, and it stands for no part of an address.
    A name is presented without a dot at its end.
    """
    pattern = presented.lower().split(".")
    wanted = host.lower().removesuffix(".").split(".")
    if len(pattern) != len(wanted) or "" in pattern:
        return False
    if any("*" in label for label in pattern[1:]) or ("*" in pattern[0] and pattern[0] != "*"):
        return False
    if pattern[0] == "*" and (len(pattern) < 3 or pattern[-1].isdigit()):
        return False
    return all(left in ("*", right) for left, right in zip(pattern, wanted, strict=True))


@given(names=st.lists(PATTERNS, max_size=3), host=HOSTS, spelling=SPELLINGS)
@example(names=["*.contoso.com"], host="a.b.contoso.com", spelling=str)
@example(names=["*.contoso.com"], host="contoso.com", spelling=str)
@example(names=["*.com"], host="contoso.com", spelling=str)
def test_a_name_is_covered_exactly_as_the_standard_says(
    names: list[str], host: str, spelling: Callable[[str], str]
) -> None:
    expected = any(reference(name, host) for name in names)
    assert certificate(tuple(names)).covers(spelling(host)) == expected


@given(host=HOSTS, prefix=LABELS)
def test_a_wildcard_stands_for_one_label(host: str, prefix: str) -> None:
    wildcard = certificate((f"*.{host}",))
    assert wildcard.covers(f"{prefix}.{host}")
    assert not wildcard.covers(host)
    assert not wildcard.covers(f"{prefix}.{prefix}.{host}")


@given(text=st.text(max_size=80))
def test_any_text_is_answered(text: str) -> None:
    assert not certificate(("cdp1.contoso.com",)).covers(f"{text}.example.org")
    certificate(("cdp1.contoso.com",)).covers(text)


@pytest.mark.parametrize(
    "name", ["bücher.contoso.com", "BÜCHER.contoso.com", "bu\u0308cher.contoso.com."]
)
def test_an_international_name_is_compared_as_its_a_label(name: str) -> None:
    assert certificate(("xn--bcher-kva.contoso.com",)).covers(name)


def test_an_international_subject_name_stands_for_its_a_label_among_the_alternatives() -> None:
    label = "xn--bcher-kva.contoso.com"
    read = ServiceCertificate.read(make_pfx("Bücher.contoso.com", names=[label]), PASSWORD)
    assert read.default_fqdn() == label


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("Bücher.contoso.com", ()),
        ("cdp1.contoso.com.", ()),
        ("cdp1", ["cdp1.contoso.com."]),
        ("cdp1", [" cdp1.contoso.com"]),
    ],
)
def test_a_name_that_no_client_compares_is_none(subject: str, names: tuple[str, ...]) -> None:
    with pytest.raises(CertificateError, match="has no name that clients accept"):
        ServiceCertificate.read(make_pfx(subject, names=names), PASSWORD)


@pytest.mark.parametrize("host", ["*.contoso.com", "10.0.0.1", "https://cdp1.contoso.com", "", "."])
def test_what_is_no_host_name_is_never_covered(host: str) -> None:
    assert not certificate(("*.contoso.com", "cdp1.contoso.com")).covers(host)


def test_a_lone_alternative_name_stands_in_for_an_empty_subject() -> None:
    read = ServiceCertificate.read(make_pfx(None, names=["CDP1.contoso.com"]), PASSWORD)
    assert read.default_fqdn() == "cdp1.contoso.com"
    assert read.subject == "(no subject)"
