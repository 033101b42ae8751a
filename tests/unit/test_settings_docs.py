"""`Pulumi.yaml` and `docs/settings.md` say what the settings' model says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.settings import docs as settings_docs
from components.settings.docs import (
    PAGE,
    PROJECT_FILE,
    SECTIONS,
    main,
)
from components.settings.model import kind_of, model_of
from components.settings.parsing import KEYS, LIST_KEY, keys_of


def test_both_files_are_as_the_model_makes_them() -> None:
    assert main(["--check"]) == 0


def test_each_key_stands_in_one_section() -> None:
    listed = [key for keys in SECTIONS.values() for key in keys]
    assert sorted(listed) == sorted(KEYS)


def test_each_key_nested_ones_too_is_documented_with_a_description() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for key, field in KEYS.items():
        assert f"| `{key}` |" in page
        nested = model_of(field.annotation)
        for inner, inner_field in keys_of(nested).items() if nested else ():
            assert f"| `{key}.{inner}` |" in page
            assert inner_field.description
        assert field.description


def test_the_project_file_declares_each_key_with_type_default_and_description() -> None:
    project = yaml.safe_load(PROJECT_FILE.read_text(encoding="utf-8"))
    assert project["name"] == "clouddp"
    declared = project["config"]
    # Neither true nor false is its default, and the CLI knows no third.
    assert set(declared) == {*KEYS, LIST_KEY} - {"automaticOsUpgrades"}
    for key, declaration in declared.items():
        assert "." not in key
        assert {"type", "default", "description"} <= set(declaration)
        assert ("items" in declaration) == (declaration["type"] == "array")
        if key != LIST_KEY:
            field = KEYS[key]
            assert declaration["type"] == kind_of(field.annotation)
            if declaration["type"] in ("integer", "boolean") or declaration["default"]:
                assert declaration["default"] == field.default


def test_a_stale_file_is_named_and_written_only_without_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, page = tmp_path / "Pulumi.yaml", tmp_path / "settings.md"
    project.write_text("name: clouddp\nruntime: python\nconfig:\n  old: {}\n", encoding="utf-8")
    monkeypatch.setattr(settings_docs, "ROOT", tmp_path)
    monkeypatch.setattr(settings_docs, "PROJECT_FILE", project)
    monkeypatch.setattr(settings_docs, "PAGE", page)
    assert main(["--check"]) == 1
    assert "settings.md is out of date" in capsys.readouterr().out
    assert not page.exists()
    assert main([]) == 0
    assert main(["--check"]) == 0
    written = project.read_text(encoding="utf-8")
    assert written.startswith("name: clouddp\nruntime: python\nconfig:\n")
    assert "  old:" not in written
