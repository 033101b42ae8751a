"""The main road of reading a service certificate."""

from __future__ import annotations

import pytest

from components.certificate import CertificateError, ServiceCertificate
from components.certificate_rules import Refusal
from tests.unit.certificates import PASSWORD, make_pfx


def test_a_good_pfx_gives_what_the_service_needs() -> None:
    certificate = ServiceCertificate.read(make_pfx("CDP1.Contoso.com"), PASSWORD)
    assert certificate.default_fqdn() == "cdp1.contoso.com"
    assert certificate.dns_names == ("cdp1.contoso.com",)
    assert certificate.pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert certificate.pem.endswith(certificate.chain_pem)
    assert certificate.warnings == ()


def test_a_wrong_password_is_refused_and_never_shown() -> None:
    with pytest.raises(CertificateError) as caught:
        ServiceCertificate.read(make_pfx(), "hunter2-hunter2")
    assert caught.value.rules == (Refusal.NOT_OPENED,)
    assert "hunter2" not in str(caught.value)
