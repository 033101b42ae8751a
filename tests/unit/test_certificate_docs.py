"""The page about certificates says what the code says."""

from __future__ import annotations

from pathlib import Path

from components.certificate.pkcs12 import LARGEST_FILE, MOST_CERTIFICATES, MOST_ITERATIONS
from components.certificate.report import PASSWORD_VARIABLE
from components.certificate.rules import Advice, Refusal

PAGE = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text(encoding="utf-8")


def rows(rules: type[Refusal] | type[Advice]) -> str:
    return "".join(f"| {rule.name.lower().replace('_', ' ')} | {rule.value} |\n" for rule in rules)


def test_each_refusal_has_its_row_with_its_words() -> None:
    assert f"| refused when | the message goes on |\n| --- | --- |\n{rows(Refusal)}\n" in PAGE


def test_each_warning_has_its_row_with_its_words() -> None:
    assert f"| warned when | the message goes on |\n| --- | --- |\n{rows(Advice)}\n" in PAGE


def test_the_limits_and_names_on_the_page_are_those_of_the_code() -> None:
    for shown in (
        f"{LARGEST_FILE:,} bytes",
        f"{MOST_ITERATIONS:,} rounds",
        f"{MOST_CERTIFICATES} certificates",
        PASSWORD_VARIABLE,
    ):
        assert shown in PAGE
