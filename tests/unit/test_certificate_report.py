"""The command that shows what a deployment would see in a PFX."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from components.certificate import report as certificate_report
from components.certificate.report import PASSWORD_VARIABLE, main
from tests.unit.certificates import PASSWORD, make_pfx

ROOT = Path(__file__).parents[2]
FQDN = "cdp1.contoso.com"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    file = tmp_path / "cdp1.pfx"
    file.write_bytes(make_pfx())
    return file


def password_file(folder: Path, text: str = PASSWORD + "\r\n") -> str:
    file = folder / "password"
    file.write_text(text, newline="")
    return str(file)


def test_all_that_matters_is_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--password-file", password_file(file.parent)]
    assert main(["check", str(file), *options]) == 0
    out, err = capsys.readouterr()
    for shown in (
        "CN=cdp1.contoso.com",
        "service FQDN: cdp1.contoso.com",
        "Server Authentication (1.3.6.1.5.5.7.3.1)",
        "secp256r1",
        "SHA-256",
        "364 days left",
        "CN=Contoso Test Issuing",
        "CN=Contoso Test Root (in the file, not sent)",
        "It would be accepted.",
    ):
        assert shown in out
    assert err == ""
    assert "PRIVATE" not in out
    assert PASSWORD not in out


def test_a_wildcard_is_shown_with_what_it_can_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    file = tmp_path / "wild.pfx"
    file.write_bytes(make_pfx("*.contoso.com"))
    assert main(["check", str(file)]) == 1
    assert "set serviceFqdn" in capsys.readouterr().out
    options = ["--fqdn", "CDP7.contoso.com", "--test-environment"]
    assert main(["check", str(file), *options]) == 0
    out = capsys.readouterr().out
    assert "host.contoso.com" in out
    assert "service FQDN: cdp7.contoso.com" in out


def test_what_would_be_refused_is_shown_with_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    file = tmp_path / "old.pfx"
    file.write_bytes(make_pfx(ends=timedelta(hours=-1), usages=None))
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "refused: it expired on" in out
    assert "days left" not in out
    assert "warning: it has no extended key usage" in out
    assert "It would be refused." in out


def test_a_name_without_its_domain_would_be_refused_as_the_settings_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "intranet.pfx"
    file.write_bytes(make_pfx("cdp1", password=""))
    assert main(["check", str(file)]) == 1
    assert 'refused: it has the name "cdp1" without its domain' in capsys.readouterr().out


def test_the_password_is_asked_for_only_where_there_is_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(
        certificate_report.getpass, "getpass", lambda text: asked.append(text) or PASSWORD
    )
    assert main(["check", str(file)]) == 0
    assert len(asked) == 1
    file.write_bytes(make_pfx(password=""))
    assert main(["check", str(file)]) == 0
    assert len(asked) == 1


def test_without_a_terminal_it_says_where_the_password_goes(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert main(["check", str(file)]) == 2
    assert PASSWORD_VARIABLE in capsys.readouterr().err


def test_a_password_file_that_is_not_there_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(file), "--password-file", "/no/such"]) == 2
    assert "/no/such" in capsys.readouterr().err


def test_it_runs_as_a_module_and_says_in_one_line_what_is_wrong(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "components.certificate", "check", str(file)],
        cwd=ROOT,
        env=os.environ | {PASSWORD_VARIABLE: "wrong"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f'refused: "{file}" cannot be opened with the password given')
    assert done.stderr.count("\n") == 1


def test_no_option_takes_the_password_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "x.pfx", "--password", "secret"])
    assert "unrecognized" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (EOFError(), 2, "No password was given"),
        (UnicodeDecodeError("utf-8", b"s\xe9cret", 1, 2, "invalid"), 2, PASSWORD_VARIABLE),
    ],
)
def test_whatever_becomes_of_the_question_for_the_password_is_one_sentence(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    words: str,
) -> None:
    def ask(_: str) -> str:
        raise raised

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(certificate_report.getpass, "getpass", ask)
    assert main(["check", str(file)]) == code
    said = capsys.readouterr().err
    assert words in said
    assert "cret" not in said


def test_what_no_vault_takes_is_refused_here_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "long.pfx"
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(20_000))
    file.write_bytes(make_pfx(password="", extensions=[large]))
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "refused: it makes " in out
    assert "It would be refused." in out


@pytest.mark.parametrize("reader", ["an old terminal", "nobody"])
def test_any_terminal_gets_the_names_and_one_that_is_gone_no_traceback(
    tmp_path: Path, reader: str
) -> None:
    file = tmp_path / "city.pfx"
    file.write_bytes(make_pfx("Zürich 東京", names=[FQDN], password=""))
    process = subprocess.Popen(
        [sys.executable, "-m", "components.certificate", "check", str(file), "--fqdn", FQDN],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    if reader == "nobody":
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
        process.wait(60)
        return
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "CN=Z\\xfcrich \\u6771\\u4eac" in out
