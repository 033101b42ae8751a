"""PFX files as other programs write them: OpenSSL old and new, Java's keytool, BER."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from components.certificate import CertificateError, ServiceCertificate
from components.certificate.pkcs12 import look
from components.certificate.rules import Refusal
from tests.unit.certificate_damage import to_ber
from tests.unit.certificates import make_pfx, rsa_key

PASSWORD = "pfx-Pässword"
FQDN = "cdp1.contoso.com"
SECONDS = 60

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
needs_keytool = pytest.mark.skipif(not shutil.which("keytool"), reason="keytool is not here")


def run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, timeout=SECONDS, env=environment, check=False
    )
    if b"unsupported" in done.stderr or b"unable to load provider" in done.stderr:
        pytest.skip("this openssl was built without that algorithm")
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and certificates in PEM, made by openssl."""
    folder = tmp_path_factory.mktemp("openssl")
    name = f"subjectAltName=DNS:{FQDN}"
    for who, options in (
        ("root", ["-x509", "-subj", "/CN=Files Root", "-days", "99"]),
        ("sha1root", ["-x509", "-sha1", "-subj", "/CN=Old Files Root", "-days", "99"]),
        ("own", ["-x509", "-subj", f"/CN={FQDN}", "-days", "99", "-addext", name]),
    ):
        run(
            folder, "openssl", "req", "-newkey", "rsa:2048", "-nodes",
            "-keyout", f"{who}.key", "-out", f"{who}.pem", *options,
        )  # fmt: skip
    (folder / "leaf.cnf").write_text(f"{name}\nextendedKeyUsage=serverAuth\n")
    run(
        folder, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes",
        "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", f"/CN={FQDN}",
    )  # fmt: skip
    for ca in ("root", "sha1root"):
        run(
            folder, "openssl", "x509", "-req", "-in", "leaf.csr", "-CA", f"{ca}.pem",
            "-CAkey", f"{ca}.key", "-set_serial", "7", "-days", "90", "-sha256",
            "-extfile", "leaf.cnf", "-out", f"leaf-{ca}.pem",
        )  # fmt: skip
    return folder


def export(folder: Path, *options: str, password: str = PASSWORD, ca: str = "root") -> bytes:
    run(
        folder, "openssl", "pkcs12", "-export", "-inkey", "leaf.key", "-in", f"leaf-{ca}.pem",
        "-certfile", f"{ca}.pem", "-name", "Bücher", "-passout", f"pass:{password}",
        "-out", "out.pfx", *options,
    )  # fmt: skip
    return (folder / "out.pfx").read_bytes()


KINDS = {
    "OpenSSL 3": [],
    "OpenSSL 1, older Windows": ["-legacy"],
    "RC2 for certificates": ["-legacy", "-certpbe", "PBE-SHA1-RC2-40"],
    "RC4": ["-legacy", "-certpbe", "PBE-SHA1-RC4-128", "-keypbe", "PBE-SHA1-RC4-128"],
    "SHA-512": ["-macalg", "sha512"],
    "600,000 rounds": ["-iter", "600000"],
    "no MAC": ["-nomac"],
    "certificates in the open": ["-certpbe", "NONE"],
    "all in the open": ["-certpbe", "NONE", "-keypbe", "NONE"],
    "one round": ["-iter", "1"],
}


@needs_openssl
@pytest.mark.parametrize("kind", KINDS)
def test_what_openssl_writes_is_read(made: Path, kind: str) -> None:
    certificate = ServiceCertificate.read(export(made, *KINDS[kind]), PASSWORD)
    assert certificate.default_fqdn() == FQDN
    assert certificate.warnings == ()


@needs_openssl
@pytest.mark.parametrize("password", [None, ""])
@pytest.mark.parametrize("options", [[], ["-legacy"]])
def test_an_empty_password_of_openssl_is_read(
    made: Path, options: list[str], password: str | None
) -> None:
    data = export(made, *options, password="")
    assert ServiceCertificate.read(data, password).default_fqdn() == FQDN


@needs_openssl
def test_all_kinds_of_files_give_the_same_bytes_for_the_vault(made: Path) -> None:
    pems = {
        ServiceCertificate.read(export(made, *options), PASSWORD).pem for options in KINDS.values()
    }
    assert len(pems) == 1


@needs_openssl
def test_what_openssl_signs_itself_passes_in_a_test_environment(made: Path) -> None:
    run(
        made, "openssl", "pkcs12", "-export", "-inkey", "own.key", "-in", "own.pem",
        "-passout", "pass:x", "-out", "own.pfx",
    )  # fmt: skip
    data = (made / "own.pfx").read_bytes()
    assert ServiceCertificate.read(data, "x", test_environment=True).self_signed
    with pytest.raises(CertificateError) as caught:
        ServiceCertificate.read(data, "x")
    assert caught.value.rules == (Refusal.SELF_SIGNED,)


@needs_openssl
def test_a_root_signed_with_sha_1_is_no_obstacle(made: Path) -> None:
    certificate = ServiceCertificate.read(export(made, ca="sha1root"), PASSWORD)
    assert certificate.warnings == ()
    assert certificate.chain_pem.count("BEGIN CERTIFICATE") == 1


@needs_openssl
def test_a_spelt_out_curve_is_refused(made: Path) -> None:
    run(
        made, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-pkeyopt", "ec_param_enc:explicit", "-nodes", "-keyout", "ec.key", "-out", "ec.pem",
        "-subj", f"/CN={FQDN}", "-days", "90",
    )  # fmt: skip
    run(
        made, "openssl", "pkcs12", "-export", "-inkey", "ec.key", "-in", "ec.pem",
        "-passout", "pass:x", "-out", "ec.pfx",
    )  # fmt: skip
    with pytest.raises(CertificateError, match="explicit parameters"):
        ServiceCertificate.read((made / "ec.pfx").read_bytes(), "x", test_environment=True)


@needs_openssl
@pytest.mark.parametrize(
    ("rounds", "options"),
    [("2048", ["-iter", "2048"]), ("777", ["-iter", "777", "-legacy"])],
)
def test_the_rounds_are_counted_for_key_certificates_and_mac(
    made: Path, rounds: str, options: list[str]
) -> None:
    assert look(export(made, *options)).iterations == 3 * int(rounds)


@needs_keytool
@pytest.mark.parametrize("option", [[], ["-J-Dkeystore.pkcs12.legacy"]])
def test_what_keytool_writes_is_read(tmp_path: Path, option: list[str]) -> None:
    run(
        tmp_path, "keytool", "-genkeypair", *option, "-alias", "cdp", "-keyalg", "RSA",
        "-keysize", "2048", "-dname", f"CN={FQDN}", "-ext", f"SAN=dns:{FQDN}", "-ext",
        "EKU=serverAuth", "-validity", "90", "-storetype", "PKCS12", "-keystore", "k.p12",
        "-storepass", "changeit",
    )  # fmt: skip
    certificate = ServiceCertificate.read(
        (tmp_path / "k.p12").read_bytes(), "changeit", test_environment=True
    )
    assert certificate.default_fqdn() == FQDN
    assert certificate.warnings == ()


@needs_keytool
def test_a_key_store_of_old_java_is_told_for_what_it_is(tmp_path: Path) -> None:
    run(
        tmp_path, "keytool", "-genkeypair", "-alias", "cdp", "-keyalg", "RSA", "-dname",
        "CN=x", "-storetype", "JKS", "-keystore", "k.jks", "-storepass", "changeit",
        "-keypass", "changeit",
    )  # fmt: skip
    with pytest.raises(CertificateError, match="Java key store"):
        ServiceCertificate.read((tmp_path / "k.jks").read_bytes(), "changeit")


def test_ber_and_trailing_bytes_are_read_without_a_word(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    data = make_pfx(key=rsa_key())
    wanted = ServiceCertificate.read(data, "correct horse battery staple").pem
    for variant in (to_ber(data), data + b"\r\n", data + bytes(100)):
        assert variant != data
        assert ServiceCertificate.read(variant, "correct horse battery staple").pem == wanted
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@needs_openssl
def test_a_key_for_pss_only_is_refused_and_an_authority_that_signs_so_is_not(
    made: Path, tmp_path: Path
) -> None:
    run(tmp_path, "openssl", "genpkey", "-algorithm", "RSA-PSS", "-out", "pss.key")
    run(
        tmp_path, "openssl", "req", "-new", "-key", "pss.key", "-subj", f"/CN={FQDN}",
        "-out", "pss.csr",
    )  # fmt: skip
    signing = ["-sigopt", "rsa_padding_mode:pss", "-sha256", "-days", "90", "-set_serial", "8"]
    authority = ["-CA", str(made / "root.pem"), "-CAkey", str(made / "root.key")]
    extensions = ["-extfile", str(made / "leaf.cnf")]
    for request, out in ((tmp_path / "pss.csr", "pss.pem"), (made / "leaf.csr", "leaf.pem")):
        run(
            tmp_path, "openssl", "x509", "-req", "-in", str(request), *authority, *signing,
            *extensions, "-out", out,
        )  # fmt: skip
    for key, leaf in ((tmp_path / "pss.key", "pss"), (made / "leaf.key", "leaf")):
        run(
            tmp_path, "openssl", "pkcs12", "-export", "-inkey", str(key), "-in", f"{leaf}.pem",
            "-certfile", str(made / "root.pem"), "-passout", f"pass:{PASSWORD}",
            "-out", f"{leaf}.pfx",
        )  # fmt: skip
    with pytest.raises(CertificateError) as caught:
        ServiceCertificate.read((tmp_path / "pss.pfx").read_bytes(), PASSWORD)
    assert caught.value.rules == (Refusal.KEY_KIND,)
    assert "RSASSA-PSS" in str(caught.value)
    signed = ServiceCertificate.read((tmp_path / "leaf.pfx").read_bytes(), PASSWORD)
    # The authority was found by its signature, or the chain would be called incomplete.
    assert signed.warnings == ()
