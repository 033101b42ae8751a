"""The client certificate with which the Azure provider signs in."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from components.certificate.rules import CertificateError, Refusal
from components.settings import SettingsError, load
from components.settings.sign_in import check_client_certificate
from tests.unit.certificates import (
    CLIENT,
    PASSWORD,
    ec_key,
    legacy,
    make_certificate,
    make_pfx,
    pack,
    rsa_key,
)
from tests.unit.stack import config, folder, loaded, problems
from tests.unit.test_certificate import publish_settings


def client_pfx(**changes: object) -> bytes:
    options = {"key": rsa_key(), "self_signed": True, "usages": [CLIENT], "encryption": legacy()}
    return make_pfx("clouddp", **(options | changes))  # ty: ignore[invalid-argument-type]


def pem(key_format: PrivateFormat = PrivateFormat.PKCS8, *, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    key = rsa_key().private_bytes(Encoding.PEM, key_format, encryption)
    return key + make_certificate("clouddp", rsa_key()).public_bytes(Encoding.PEM)


def refused(data: bytes, password: str | None = PASSWORD) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        check_client_certificate(data, password)
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_a_certificate_as_windows_exports_it_may_sign_in() -> None:
    assert check_client_certificate(client_pfx(), PASSWORD) == ()


@pytest.mark.parametrize("kind", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [None, ""])
def test_pem_without_a_password_may_sign_in(kind: PrivateFormat, password: str | None) -> None:
    assert check_client_certificate(pem(kind), password) == ()


def test_a_wrong_password_is_refused() -> None:
    assert refused(client_pfx(), "wrong").rules == (Refusal.NOT_OPENED,)


def test_a_missing_key_is_refused() -> None:
    certificate = make_certificate("clouddp", rsa_key())
    bare = pack(None, None, [certificate], encryption=legacy())
    assert refused(bare).rules == (Refusal.NO_KEY,)
    assert refused(certificate.public_bytes(Encoding.PEM), None).rules == (Refusal.NO_KEY,)


def test_a_key_of_another_certificate_is_refused() -> None:
    stranger = make_certificate("clouddp", ec_key())
    data = pack(rsa_key(), None, [stranger], encryption=legacy())
    assert refused(data).rules == (Refusal.KEY_MISMATCH,)


def test_an_expired_certificate_is_refused_and_an_ending_one_warned_of() -> None:
    assert refused(client_pfx(ends=timedelta(hours=-1))).rules == (Refusal.EXPIRED,)
    warnings = check_client_certificate(client_pfx(ends=timedelta(days=10, hours=1)), PASSWORD)
    assert "in 10 days" in warnings[0]


def test_what_the_provider_cannot_read_is_refused_with_the_command_that_mends_it() -> None:
    error = refused(client_pfx(encryption=None))
    assert error.rules == (Refusal.SIGN_IN_ALGORITHM,)
    assert "AES-256" in str(error)
    assert "SHA-256" in str(error)
    assert "-legacy" in str(error)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
def test_the_command_that_is_advised_makes_a_file_that_passes(tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_bytes(pem())
    command = (
        "openssl", "pkcs12", "-export", "-legacy", "-in", "both.pem", "-out", "c.pfx",
        "-passout", f"pass:{PASSWORD}",
    )  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("this openssl was built without the legacy algorithms")
    assert check_client_certificate((tmp_path / "c.pfx").read_bytes(), PASSWORD) == ()


def test_a_key_that_is_not_rsa_is_refused() -> None:
    error = refused(client_pfx(key=ec_key()))
    assert error.rules == (Refusal.SIGN_IN_KEY,)
    assert "secp256r1" in str(error)


@pytest.mark.parametrize(
    ("data", "password", "reason"),
    [
        (pem, "given", "a password is given"),
        (lambda: pem(password=b"x"), None, "ENCRYPTED PRIVATE KEY"),
        (lambda: pem() + pem(), None, "more than one key"),
    ],
)
def test_pem_that_the_provider_cannot_use_is_refused(data, password, reason) -> None:  # noqa: ANN001
    error = refused(data(), password)
    assert error.rules == (Refusal.SIGN_IN_PEM,)
    assert reason in str(error)


def test_damaged_pem_is_refused() -> None:
    data = pem().replace(b"\nM", b"\n?")
    assert refused(data, None).rules == (Refusal.DAMAGED_CERTIFICATE,)


def test_a_publish_settings_file_is_refused_with_the_commands_that_replace_it() -> None:
    error = refused(publish_settings(version=1), None)
    assert error.rules == (Refusal.PUBLISH_SETTINGS,)
    guid = "11111111-2222-3333-4444-555555555555"
    assert f"--scopes /subscriptions/{guid}" in str(error)
    assert f"azure-native:subscriptionId {guid}" in str(error)
    assert "az login" in str(error)
    assert str(error).isprintable()


# As the provider is set up


def named(data: bytes, name: str = "client.pfx") -> str:
    (folder() / name).write_bytes(data)
    return name


def azure(password: str = PASSWORD, **changes: object) -> dict[str, str]:
    path = named(client_pfx(**changes))
    return {"clientCertificatePath": path, "clientCertificatePassword": password}


def test_a_good_client_certificate_says_nothing() -> None:
    assert problems(azure=azure()) == []
    assert loaded(azure=azure()).warnings == ()


def test_a_bad_one_is_one_sentence_among_those_of_the_settings() -> None:
    first, second = problems(azure=azure("hunter2-hunter2"), instances=17)
    assert first.startswith("instances 17 ")
    assert second.startswith(
        'azure-native:clientCertificatePath "client.pfx" cannot be opened with the password given'
    )
    assert "hunter2" not in second
    assert second.endswith(".")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (lambda: client_pfx(ends=timedelta(hours=-1)), '"client.pfx" expired on '),
        (
            lambda: pack(None, None, [make_certificate("c", rsa_key())], encryption=legacy()),
            '"client.pfx" has no private key',
        ),
        (publish_settings, '"client.pfx" is an Azure publish settings file (subscriptions: 1111'),
    ],
)
def test_what_cannot_sign_in_is_told_after_its_key(data, told: str) -> None:  # noqa: ANN001
    keys = {"clientCertificatePath": named(data()), "clientCertificatePassword": PASSWORD}
    (sentence,) = problems(azure=keys)
    assert sentence.startswith(f"azure-native:clientCertificatePath {told}")


def test_one_that_ends_soon_is_a_warning_of_each_entry() -> None:
    (warning,) = loaded(azure=azure(ends=timedelta(days=10, hours=1))).warnings
    assert warning.startswith('azure-native:clientCertificatePath "client.pfx" expires on ')


def test_the_environment_counts_where_the_stack_says_nothing() -> None:
    environment = {
        "ARM_CLIENT_CERTIFICATE_PATH": str(folder() / named(client_pfx())),
        "ARM_CLIENT_CERTIFICATE_PASSWORD": "wrong",
    }
    (sentence,) = problems(environment=environment)
    assert sentence.startswith("ARM_CLIENT_CERTIFICATE_PATH ")
    assert problems(environment=environment, azure=azure()) == []
    assert problems(environment=environment, azure={"clientCertificatePath": ""}) == []


def test_one_that_the_provider_does_not_use_is_not_looked_at() -> None:
    assert problems(azure=azure("wrong") | {"useDefaultAzureCredential": "true"}) == []


def test_the_content_of_a_certificate_in_place_of_its_path_is_not_shown() -> None:
    (sentence,) = problems(azure={"clientCertificatePath": "MIIKsecret" * 500})
    assert sentence == (
        "azure-native:clientCertificatePath is not the path of a file: give the path, not what is "
        "in the file."
    )


def test_it_is_said_once_for_a_stack_of_several() -> None:
    entries = {
        "distributionPoints": [
            {"certificate": {"pfxFile": f"{name}.pfx", "password": PASSWORD}}
            for name in ("cdp1", "cdp2")
        ]
    }
    with pytest.raises(SettingsError) as caught:
        load(config(certificate=None, **entries), root=folder(), azure=azure("wrong"))
    assert len(caught.value.problems) == 1


def test_publish_settings_in_place_of_the_services_certificate_are_told_too() -> None:
    (sentence,) = problems(certificate={"pfxFile": named(publish_settings(), "a.publishsettings")})
    assert sentence.startswith(
        'certificate.pfxFile "a.publishsettings" is an Azure publish settings file'
    )
