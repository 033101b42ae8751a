"""Loads the settings of a stack. Everything that is wrong is said at once, one sentence each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .checks import refuse_clashes, resolve
from .model import DistributionPointSettings
from .parsing import KEYS, parse_stack, sentence
from .sign_in import check_sign_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NAMESPACE = "clouddp"
PROVIDER_NAMESPACE = "azure-native"


class SettingsError(Exception):
    """Everything that is wrong with the configuration.

    Attributes:
        problems: one sentence for each mistake.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def load(
    config: Mapping[str, str],
    *,
    root: Path,
    azure: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    secret_keys: Collection[str] = (),
    others: Collection[str] = (),
) -> tuple[DistributionPointSettings, ...]:
    """Reads the configuration of a stack: one distribution point, or the list of several.

    Args:
        config: the keys of namespace ``clouddp``, without it, as the engine hands them over:
            text, which is JSON for everything but strings.
        root: the folder of `Pulumi.yaml`, where relative paths start.
        azure: the same for namespace ``azure-native``.
        environment: environment variables, from which some keys take their default.
        secret_keys: top-level keys that the user keeps as secrets, at least in part, so that
            messages leave their values out.
        others: keys of any namespace, with it, among which one of ours may have got lost.

    Raises:
        SettingsError: with every mistake found.
    """
    environment = environment or {}
    cloud = azure.get("environment") or environment.get("ARM_ENVIRONMENT") or "public"
    entries, problems = parse_stack(config, environment=environment, secret_keys=secret_keys)
    resolutions = [resolve(entry, root=root, provider_cloud=cloud) for entry in entries]
    refuse_clashes(resolutions)
    # Entries share what is set for the whole stack, and its mistakes: each is said once.
    for entry in entries:
        problems += [problem for problem in entry.problems if problem not in problems]
    refused, warned = check_sign_in(azure, environment, root=root)
    problems += refused
    for entry in entries:
        entry.warnings += warned
    lost = [_in_wrong_place(key) for key in others if _is_lost(key, config)]
    if problems:
        raise SettingsError(problems + lost)
    for entry in entries:
        entry.warnings += lost
    return tuple(resolution.settings() for resolution in resolutions)


def from_engine() -> tuple[DistributionPointSettings, ...]:
    """Reads the configuration that the engine handed to this program.

    It is read as a whole, since only so unknown keys are seen, and without `pulumi.Config`, which
    gives secrets as outputs, too late to check them: here they become `SecretStr`.

    Raises:
        SettingsError: with every mistake found.
    """
    # Half a second, which the tests and tools of the settings need not spend.
    import pulumi
    from pulumi.runtime import config as engine

    whole = engine.get_config_env() | engine.CONFIG.get()
    secrets = {*engine.get_config_secret_keys_env(), *engine._SECRET_KEYS.get()}
    return load(
        _in_namespace(whole, NAMESPACE),
        root=Path(pulumi.get_root_directory() or Path.cwd()),
        azure=_in_namespace(whole, PROVIDER_NAMESPACE),
        environment=os.environ,
        secret_keys=_in_namespace(dict.fromkeys(secrets, ""), NAMESPACE).keys(),
        others=whole.keys(),
    )


def _is_lost(key: str, config: Mapping[str, str]) -> bool:
    """Whether a key must be one of ours in another namespace, such as ``cdp:region``."""
    namespace, _, name = key.partition(":")
    known = namespace in ("", NAMESPACE, "pulumi") or namespace.startswith("azure")
    if known or name not in KEYS:
        return False
    # The CLI fills in the defaults that Pulumi.yaml declares.
    default = KEYS[name].default
    declared = default if isinstance(default, str) else json.dumps(default, default=lambda _: {})
    return config.get(name, "") in ("", declared)


def _in_wrong_place(key: str) -> str:
    name = key.partition(":")[2]
    return sentence(
        key,
        "",
        f'is not read: settings begin with "{NAMESPACE}:", so rename it to {NAMESPACE}:{name}',
    )


def _in_namespace(config: Mapping[str, str], namespace: str) -> dict[str, str]:
    prefix = f"{namespace}:"
    return {key.removeprefix(prefix): config[key] for key in config if key.startswith(prefix)}
