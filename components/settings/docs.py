"""Makes `docs/settings.md` and the `config` block of `Pulumi.yaml` from the settings' model.

Run ``python -m components.settings.docs`` after a key has changed; with ``--check`` it only says
whether both files are as they would be made.
"""

from __future__ import annotations

import json
import sys
import textwrap
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AfterValidator

from ..values import Between
from .model import (
    is_secret,
    item_of,
    kind_of,
    model_of,
)
from .parsing import KEYS, LIST_KEY, keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
PROJECT_FILE = ROOT / "Pulumi.yaml"
PAGE = ROOT / "docs" / "settings.md"
LIST_DESCRIPTION = (
    "Several distribution points: a list of objects, each with keys of its own. What an entry "
    "does not have is taken from the stack's keys."
)
NEUTRAL = {"string": "", "integer": 0, "array": [], "object": {}}
COLUMNS = ("key", "type", "default", "rule", "description")

SECTIONS = {
    "Name and place": (
        "region",
        "serviceFqdn",
        "serviceName",
        "dnsLabel",
        "storageAccountName",
        "keyVaultName",
        "description",
        "subscriptionId",
        "cloud",
        "resourceGroup",
        "useExistingResourceGroup",
    ),
    "Certificate": ("certificate", "recoverKeyVault", "testEnvironment"),
    "Quotas and alerts": (
        "storageQuotaGB",
        "transferQuotaGB",
        "transferPeriodDays",
        "warningPercent",
        "criticalPercent",
        "stopAtCritical",
        "certificateWarningDays",
        "alertEmails",
        "alertWebhooks",
        "monthlyBudget",
        "logWorkspaceId",
    ),
    "Instances": (
        "instances",
        "vmSize",
        "zones",
        "automaticOsUpgrades",
        "servicePort",
        "sshPublicKey",
    ),
    "Access and content": (
        "access",
        "contentPublishers",
        "publisherAddresses",
        "publisherSubnets",
        "protectContent",
    ),
    "Names and readiness": (
        "dns",
        "nameservers",
        "proxy",
        "readinessTimeoutMinutes",
        "readinessIntervalSeconds",
        "readinessPath",
        "statusLogFile",
    ),
    "Everything": ("tags",),
}

INTRODUCTION = f"""\
<!-- Made by `python -m components.settings.docs`; change components/settings/model.py instead. -->
# Settings

Settings are the configuration of a stack, under the project's name `clouddp`:

```sh
pulumi config set region westeurope
pulumi config set --path 'certificate.pfxFile' certificates/cdp1.pfx
pulumi config set --path 'certificate.password' --secret
pulumi config set --path 'access.tokenKey' --secret "$(openssl rand -base64 48)"
```

- **One or several.** A stack describes one distribution point with the keys below. The list
  `{LIST_KEY}` describes several: each entry may have any of the keys, and what it does
  not have is taken from the stack. An entry's value *replaces* the stack's value as a whole: an
  entry with `access` of its own has nothing of the stack's `access`.
- **Not given** is the same as `""`, `[]`, `{{}}` or `null`: an entry's `proxy: ""` takes the
  default and not the stack's proxy.
- **Mistakes** are all reported at once, before anything is made, one sentence each with the key
  as it is to be found: `distributionPoints[1].certificate.pfxFile`. A key that does not exist is
  refused, with the nearest one that does. (A wrong type of a top-level key is reported by Pulumi
  itself, one at a time.)
- **Secrets** are never in a message. Set them with `--secret`, as above; what stands in the stack
  file as plain text is warned of, where nothing beside it in the same object is encrypted. Other
  values appear in messages, but for text and lists whose whole top-level key is a secret.
- **Paths** that are relative start at the folder of `Pulumi.yaml`.
- **Regions.** A region that this program does not know is accepted with a warning, since Azure
  adds regions; one that is a single slip away from a known one, or that belongs to another cloud,
  is refused.
- GB are 10^9 bytes.
"""

SEVERAL = f"""\
## Several distribution points

`{LIST_KEY}` (list of objects, default none): {LIST_DESCRIPTION}

```yaml
config:
  clouddp:region: westeurope
  clouddp:access:
    clientTrustRoots: [certificates/root.pem]
  clouddp:{LIST_KEY}:
    - certificate:
        pfxFile: certificates/cdp1.pfx
    - region: eastus
      certificate:
        pfxFile: certificates/cdp2.pfx
```

Within one stack every entry has its own FQDN, service name, DNS label, storage account and vault,
and a new resource group belongs to one entry. A certificate serves several entries if it carries
each name, or is a wildcard (in a test environment).
"""


def page() -> str:
    """The text of `docs/settings.md`."""
    parts = [INTRODUCTION]
    for title, keys in SECTIONS.items():
        rows = "\n".join(_row(row) for key in keys for row in _rows(key, KEYS[key]))
        parts.append(f"## {title}\n\n{_row(COLUMNS)}\n{_row(['---'] * len(COLUMNS))}\n{rows}\n")
    return "\n".join([*parts, SEVERAL])


def project_file(current: str) -> str:
    """The text of `Pulumi.yaml`: its present head, and the `config` block as it should be."""
    head = current.partition("\nconfig:")[0].rstrip()
    lines = [
        "config:",
        "  # Made by `python -m components.settings.docs`. The CLI demands a value for every key",
        '  # without a default: "", [] and {} stand for "not given". automaticOsUpgrades, whose',
        "  # default is neither true nor false, is not declared and may be set all the same.",
    ]
    for key in (key for keys in SECTIONS.values() for key in keys):
        kind = kind_of(KEYS[key].annotation)
        if kind != "boolean" or KEYS[key].default is not None:
            lines += _declaration(key, kind, KEYS[key])
    lines += [
        f"  {LIST_KEY}:",
        "    type: array",
        "    items:",
        "      type: object",
        "    default: []",
        *_folded(LIST_DESCRIPTION),
    ]
    return head + "\n" + "\n".join(lines) + "\n"


def _declaration(key: str, kind: str, field: FieldInfo) -> list[str]:
    item = [f"      type: {kind_of(item_of(field.annotation))}"] if kind == "array" else []
    default = field.default if kind in ("boolean", "integer", "string") else None
    return [
        f"  {key}:",
        f"    type: {kind}",
        *(["    items:", *item] if item else []),
        f"    default: {json.dumps(NEUTRAL[kind] if default is None else default)}",
        *_folded(field.description or ""),
    ]


def _folded(description: str) -> list[str]:
    lines = textwrap.wrap(description, 92)
    return ["    description: >-", *(f"      {line}" for line in lines)]


def _rows(path: str, field: FieldInfo) -> Iterator[tuple[str, ...]]:
    kind = kind_of(field.annotation)
    item = item_of(field.annotation) if kind == "array" else None
    yield (
        f"`{path}`",
        _type(kind, item, secret=is_secret(field.annotation)),
        _default(kind, field),
        "; ".join(_rules(field)),
        field.description or "",
    )
    nested = model_of(field.annotation) or (item and model_of(item))
    for key, inner in keys_of(nested).items() if nested else ():
        yield from _rows(f"{path}[].{key}" if item else f"{path}.{key}", inner)


def _type(kind: str, item: Any, *, secret: bool) -> str:
    of = f" of {kind_of(item)}s" if item else ""
    return f"{kind}{of}{' (secret)' if secret else ''}"


def _default(kind: str, field: FieldInfo) -> str:
    said = _said(field, "default")
    if said or field.is_required():
        return said
    if kind == "object" or field.default in (None, "", ()):
        return ""
    plain = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"


def _rules(field: FieldInfo) -> Iterator[str]:
    choices = field.annotation
    if isinstance(choices, type) and issubclass(choices, Enum):
        yield ", ".join(f"`{choice.value}`" for choice in choices)
    for rule in field.metadata:
        if isinstance(rule, AfterValidator) and isinstance(rule.func, Between):
            yield str(rule.func)
    if field.is_required():
        yield "required"
    if _said(field, "rule"):
        yield _said(field, "rule")


def _said(field: FieldInfo, of: str) -> str:
    extra = field.json_schema_extra
    return str(extra[of]) if isinstance(extra, dict) else ""


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Writes both files, or with ``--check`` says which of them is out of date."""
    made = {PAGE: page(), PROJECT_FILE: project_file(PROJECT_FILE.read_text(encoding="utf-8"))}
    stale = [
        file
        for file, text in made.items()
        if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    for file in stale:
        name = file.relative_to(ROOT)
        if "--check" in arguments:
            print(f"{name} is out of date: run `python -m components.settings.docs`.")
        else:
            file.write_text(made[file], encoding="utf-8")
            print(f"{name} is written.")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
