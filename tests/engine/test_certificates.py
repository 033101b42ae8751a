"""Certificates on the real engine: refused before anything is made, renewed in place, kept secret.

What deploys is shared by the tests that only look; those that deploy have a sandbox of their own.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import re
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.certificate import ServiceCertificate
from sandbox import certificates
from sandbox.provider.rules import CLOUDS, TENANT
from sandbox.provider.rules import SUBSCRIPTION as OWN_SUBSCRIPTION
from tests.dns.servers import KEY, KEY_NAME, Bind
from tests.engine.program import SandboxedProgram
from tests.engine.test_control_plane import azure_of
from tests.unit.certificates import (
    CLIENT,
    intermediate,
    legacy,
    make_certificate,
    make_pfx,
    pack,
    root,
    rsa_key,
)
from tests.unit.test_certificate import publish_settings

FQDN = certificates.FQDN
PASSWORD = certificates.PASSWORD
SECRET = "clouddp1-certificate-certificate"
SETTINGS = "clouddp1-certificate-settings"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
PKI = f"/subscriptions/{OWN_SUBSCRIPTION}/resourceGroups/pki/providers"
VAULT: dict[str, Any] = {
    "vaultName": "pki",
    "properties": {
        "tenantId": TENANT,
        "sku": {"family": "A", "name": "standard"},
        "enableRbacAuthorization": True,
    },
}
IN_VAULT: dict[str, Any] = {
    "keyVaultSecretId": "https://pki.vault.azure.net/secrets/cdp1",
    "keyVaultId": f"{PKI}/Microsoft.KeyVault/vaults/pki",
}


def put(program: SandboxedProgram, data: bytes) -> None:
    """Put another file in the place of the certificate."""
    (program.sandbox.certificates / certificates.PFX).write_bytes(data)


def pfx(fqdn: str = FQDN, **changed: Any) -> bytes:
    return make_pfx(fqdn, password=PASSWORD, key=rsa_key(), **changed)


def touched(program: SandboxedProgram) -> dict[str, str]:
    """What a preview would do, by logical name."""
    steps = program.preview()["steps"]
    found = {step["urn"].rsplit("::", 1)[1]: step["op"] for step in steps if step["op"] != "same"}
    found.pop("clouddp-dev", None)  # the stack itself, whose outputs change
    return found


def refused(program: SandboxedProgram, *command: str) -> str:
    """What a command says that has to fail, in words, before anything is registered."""
    done = program.pulumi(*(command or ("preview",)), check=False)
    shown = done.stdout + done.stderr
    assert done.returncode != 0, shown
    assert "Traceback" not in shown
    return shown


@pytest.fixture(scope="module")
def shared(
    prepared: SandboxedProgram, tmp_path_factory: pytest.TempPathFactory
) -> SandboxedProgram:
    program = prepared.copied(tmp_path_factory.mktemp("deployed") / "program")
    program.up()
    return program


@pytest.fixture
def deployed(shared: SandboxedProgram) -> Generator[SandboxedProgram]:
    """A program whose distribution point is up; what is changed before a preview is put back."""
    files = [
        shared.root / "Pulumi.dev.yaml",
        shared.sandbox.certificates / certificates.PFX,
    ]
    before = [file.read_bytes() for file in files]
    yield shared
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)


def test_names_come_from_the_certificate_and_are_shown_before_anything_exists(
    sandbox: SandboxedProgram,
) -> None:
    put(sandbox, pfx("Downloads.Contoso.example"))
    shown = sandbox.pulumi("preview").stdout
    assert '"downloads.contoso.example"' in shown
    assert '"downloads"' in shown
    assert sandbox.resources() == []


def test_a_renewal_by_another_organisation_in_other_letter_case_is_in_place(
    deployed: SandboxedProgram,
) -> None:
    file = deployed.sandbox.certificates / certificates.PFX
    old = ServiceCertificate.read(file.read_bytes(), PASSWORD)
    renewed = pfx("CLOUDDP1.Contoso.Example", organisation="Fabrikam", ends=timedelta(days=900))
    put(deployed, renewed)
    assert touched(deployed) == {SECRET: "update"}
    shown = deployed.pulumi("preview", "--diff").stdout
    assert "value: [secret] => [secret]" in shown
    assert "PRIVATE KEY" not in shown
    for tag, before in (("thumbprint", old.thumbprint), ("expires", old.expires)):
        assert re.search(rf'{tag} *: "{before}" => "[^"]+"', shown), shown


def test_a_renewal_for_another_name_is_refused_with_what_to_do(
    deployed: SandboxedProgram,
) -> None:
    deployed.config("serviceFqdn", FQDN)
    put(deployed, pfx("other.contoso.example"))
    assert (
        f'does not cover "{FQDN}": it is for other.contoso.example, so set serviceFqdn to a name '
        "that it covers, or get a certificate for this one."
    ) in refused(deployed)


def test_a_renewal_for_another_name_makes_no_new_service_unnoticed(
    deployed: SandboxedProgram,
) -> None:
    put(deployed, pfx("other.contoso.example"))
    assert (
        'serviceFqdn is not given and would be "other.contoso.example", as the certificate says, '
        f'but the stack serves "{FQDN}": use a certificate for that name, or, if the name is to '
        'change, set serviceFqdn to "other.contoso.example" and serviceName to "clouddp1"'
    ) in refused(deployed)
    deployed.config("serviceFqdn", "other.contoso.example")
    assert (
        'serviceName is not given and would be "other", but the service of '
        f'"{FQDN}" is "clouddp1": set serviceName to "clouddp1", which keeps it'
    ) in refused(deployed)
    deployed.config("serviceName", "clouddp1")
    assert "clouddp1-content-account" not in touched(deployed)


def test_an_up_that_was_refused_does_not_make_the_next_one_forget_the_name(
    deployed: SandboxedProgram,
) -> None:
    put(deployed, pfx("other.contoso.example"))
    for _ in range(2):
        shown = refused(deployed, "up", "--yes", "--skip-preview")
        assert f'but the stack serves "{FQDN}"' in shown


def test_a_certificate_that_cannot_serve_is_refused_with_each_of_its_faults(
    deployed: SandboxedProgram,
) -> None:
    put(deployed, pfx(ends=timedelta(hours=-1), usages=[CLIENT]))
    shown = refused(deployed)
    assert "expired on" in shown
    assert "is not for servers" in shown


def test_the_certificate_of_the_sign_in_is_refused_among_the_settings(
    sandbox: SandboxedProgram,
) -> None:
    folder = sandbox.sandbox.certificates
    client = make_pfx(
        "clouddp", key=rsa_key(), self_signed=True, usages=[CLIENT], encryption=legacy()
    )
    (folder / "client.pfx").write_bytes(client)
    (folder / "old.publishsettings").write_bytes(publish_settings())
    sandbox.config("instances", 17)
    path = ".sandbox/certificates/client.pfx"
    sandbox.pulumi("config", "set", "azure-native:clientCertificatePath", path)
    secret = ("azure-native:clientCertificatePassword", "never-shown-by-anybody")
    sandbox.pulumi("config", "set", "--secret", *secret)
    shown = refused(sandbox)
    assert "instances 17 is out of range" in shown
    assert f'azure-native:clientCertificatePath "{path}" cannot be opened with the' in shown
    assert secret[1] not in shown
    assert "azure-native:" not in str([each["type"] for each in sandbox.resources()])

    path = ".sandbox/certificates/old.publishsettings"
    sandbox.pulumi("config", "set", "azure-native:clientCertificatePath", path)
    shown = refused(sandbox)
    assert f"(subscriptions: {SUBSCRIPTION})" in shown
    assert f"`pulumi config set azure-native:subscriptionId {SUBSCRIPTION}`" in shown


def test_going_over_to_a_certificate_in_a_vault_and_back_is_in_place(
    sandbox: SandboxedProgram,
) -> None:
    sandbox.config("serviceFqdn", FQDN)
    sandbox.up()
    settings = sandbox.root / "Pulumi.dev.yaml"
    with_pfx = settings.read_bytes()
    azure = azure_of(sandbox)
    group = {"resourceGroupName": "pki", "location": "westeurope"}
    azure.put("resources:ResourceGroup", group, CLOUDS["public"])
    sandbox.config("certificate", IN_VAULT)
    assert "the vault pki could not be looked at (" in sandbox.pulumi("preview").stdout
    of_policies = copy.deepcopy(VAULT)
    of_policies["properties"] |= {"enableRbacAuthorization": False, "accessPolicies": []}
    azure.put("keyvault:Vault", {**group, **of_policies}, CLOUDS["public"])
    assert "the vault pki, which goes by access policies" in refused(sandbox)
    azure.put("keyvault:Vault", {**group, **VAULT}, CLOUDS["public"], update=True)
    role = "clouddp1-certificate-certificate-vault-reader"
    assert touched(sandbox) == {SECRET: "update", SETTINGS: "update", role: "create"}
    sandbox.up()
    assert sandbox.outputs()["certificateThumbprint"] == ""
    sandbox.pulumi("preview", "--expect-no-changes")
    settings.write_bytes(with_pfx)
    assert touched(sandbox) == {SECRET: "update", SETTINGS: "update", role: "delete"}


def test_the_same_certificate_in_another_file_makes_no_difference(
    sandbox: SandboxedProgram,
) -> None:
    leaf = make_certificate(FQDN, rsa_key(), issuer=intermediate(), names=[FQDN])
    chain = [intermediate().certificate, root().certificate]
    put(sandbox, pack(rsa_key(), leaf, chain, password=PASSWORD))
    sandbox.up()
    before = certificate_inputs(sandbox)
    assert before["properties"]["value"].startswith("-----BEGIN PRIVATE KEY-----")

    other = pack(rsa_key(), leaf, chain[::-1], friendly_name="2026", encryption=legacy(PASSWORD))
    put(sandbox, other)
    sandbox.pulumi("preview", "--expect-no-changes")
    sandbox.up()
    assert certificate_inputs(sandbox) == before


def certificate_inputs(program: SandboxedProgram) -> dict[str, Any]:
    """What the state keeps of the certificate's secret, decrypted."""
    state = json.loads(program.pulumi("stack", "export", "--show-secrets").stdout)
    (found,) = (
        each["inputs"]
        for each in state["deployment"]["resources"]
        if each["urn"].endswith(f"::{SECRET}")
    )
    value = found["properties"]["value"]
    return found | {"properties": {"value": json.loads(value["plaintext"])}}


def test_no_secret_is_in_any_message_state_or_log(
    sandbox: SandboxedProgram, tmp_path: Path
) -> None:
    """At verbosity 9 the engine itself prints secret inputs, as docs/certificates.md says."""
    password = "password-of-the-pfx"
    data = make_pfx(FQDN, password=password, key=rsa_key())
    sandbox.config("certificate", {})
    sandbox.config("certificate.pfxBase64", base64.b64encode(data).decode(), secret=True)
    plain = {
        "certificate.password": password,
        "access.tokenKey": "token-key-of-at-least-32-characters",
        "access.previousTokenKey": "previous-token-key-of-32-characters",
        "dns.keySecret": KEY,
    }
    events, target = tmp_path / "events.json", tmp_path / "exported.json"
    with Bind(folder=tmp_path / "bind", zones={"contoso.example": "www A 203.0.113.5"}) as bind:
        program = dataclasses.replace(sandbox, nameserver=bind.server)
        dns = {"mode": "rfc2136", "zone": "contoso.example", "server": bind.server}
        program.config("dns", {**dns, "keyName": KEY_NAME})
        for key, value in plain.items():
            program.config(key, value, secret=True)
        verbose = ("-v=8", "--logtostderr", "--logflow", f"--event-log={events}")
        run = ("up", "--yes", "--skip-preview")
        done = program.pulumi(*run, *verbose, PULUMI_DEBUG_COMMANDS="true")
        program.pulumi("stack", "export", "--file", str(target))
    files = [
        file
        for file in (events, target, *sandbox.sandbox.state.rglob("*"))
        if file.is_file() and "azure.db" not in file.name and file.parent.name != "certificates"
    ]
    searched = {str(file): file.read_bytes() for file in files}
    searched |= {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    assert sum(SECRET.encode() in text for text in searched.values()) >= 4
    secrets = pieces(data, password) | {key: [value] for key, value in plain.items()}
    for what, spellings in secrets.items():
        for each in spellings:
            found = [where for where, text in searched.items() if each.encode() in text]
            assert not found, f"{what} is in {found}"


def pieces(data: bytes, password: str) -> dict[str, list[str]]:
    """The lines of the key as the vault gets it, and the PFX in the spellings that logs have."""
    pem = ServiceCertificate.read(data, password).pem
    key = pem.partition("-----END")[0].splitlines()[1:]
    middle = len(data) // 2
    parts = [data[at : at + 48] for at in (60, middle, middle + 1, middle + 2)]
    return {
        "the private key": ["BEGIN PRIVATE KEY", *key],
        "the PFX": [
            text for part in parts for text in (base64.b64encode(part).decode(), part.hex())
        ],
    }
