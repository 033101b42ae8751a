"""From what the engine hands over to typed values, every problem of a single key collected.

A value that is refused is left out, and the rest goes on: rules about several keys still run
where the keys that they need are good.
"""

from __future__ import annotations

import difflib
import json
import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ..proxy import of_environment
from ..values import Refused
from .model import (
    DistributionPointKeys,
    is_secret,
    item_of,
    kind_of,
    model_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    Location = tuple[str | int, ...]

LIST_KEY = "distributionPoints"
_LONGEST_SHOWN_VALUE = 256
_SHORTEST_PART = 4

_WRONG_TYPE = {
    "string": "must be text: put the value in quotes",
    "integer": "must be a whole number: write digits only, without quotes",
    "boolean": "must be true or false: write it without quotes",
    "array": "must be a list: write each item on a line of its own, after a hyphen",
    "object": "must be an object: write `key: value` lines under it",
}
_KIND_OF_ERROR = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "int_parsing": "integer",
    "int_parsing_size": "integer",
    "bool_type": "boolean",
    "bool_parsing": "boolean",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys under which the user gives them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


KEYS = keys_of(DistributionPointKeys)


class Entry:
    """One distribution point on its way from keys to settings, and what is wrong with it.

    Attributes:
        keys: the good values, and the defaults of all others.
        problems: one sentence each.
        warnings: one sentence each.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        prefix: str = "",
        own: Collection[str] = (),
        bad: Collection[str] = (),
        shown_as: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        encrypted: Collection[str] = (),
    ) -> None:
        """Takes in the values of one entry.

        Args:
            given: values by key, those of the whole stack included.
            prefix: where the entry stands, such as ``distributionPoints[1].``.
            own: the keys that stand in the entry itself.
            bad: keys that were refused before.
            shown_as: names of keys that were not given as settings, but in the environment.
            hidden: keys whose values stay out of messages.
            encrypted: keys that the stack file keeps encrypted, at least in part.
        """
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.prefix = prefix
        self._own = own
        self._shown_as = shown_as or {}
        self._hidden = hidden
        self._encrypted = encrypted
        self._given = _without_neutral(DistributionPointKeys, given)
        self._bad = set(bad)
        self.keys = self._parse()

    def is_good(self, *keys: str) -> bool:
        """Whether none of these (dotted) keys, or of the keys in them, was refused."""
        return not any(
            bad == key or bad.startswith(f"{key}.") or key.startswith(f"{bad}.")
            for key in keys
            for bad in self._bad
        )

    def is_given(self, key: str) -> bool:
        """Whether the user gave a (dotted) key a value."""
        return self._value(_steps(key)) is not None

    def is_encrypted(self, key: str) -> bool:
        """Whether the stack file keeps a top-level key encrypted, or a part of it."""
        return key in self._encrypted

    def path(self, key: str) -> str:
        """A (dotted) key as the user finds it."""
        return self._path(_steps(key))

    def refuse(self, key: str, text: str) -> None:
        """Notes a problem: the key, its value unless it is a secret, and the text."""
        self._refuse(_steps(key), text)

    def warn(self, key: str, text: str) -> None:
        """Notes a warning, in the same form."""
        self.warnings.append(self._sentence(_steps(key), text))

    def _refuse(self, location: Location, text: str) -> None:
        self._bad.add(_outside_lists(location))
        self.problems.append(self._sentence(location, text))

    def _path(self, location: Location) -> str:
        first, *rest = location
        name = self._shown_as.get(str(first), str(first))
        shared = first in self._given and first not in self._own
        prefix = "" if shared or first in self._shown_as else self.prefix
        return prefix + _dotted((name, *rest))

    def _sentence(self, location: Location, text: str) -> str:
        hidden = location[0] in self._hidden or _is_hidden(location)
        shown = "" if hidden else shown_value(self._value(location))
        return sentence(self._path(location), shown, text)

    def _value(self, location: Location) -> Any:
        value: Any = self._given
        for step in location:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _parse(self) -> DistributionPointKeys:
        values = json.loads(json.dumps(self._given))
        while True:
            try:
                return DistributionPointKeys.model_validate_json(json.dumps(values), strict=True)
            except ValidationError as error:
                for details in error.errors(include_url=False):
                    self._refuse_error(details)
                    _drop(values, details["loc"])

    def _refuse_error(self, details: ErrorDetails) -> None:
        location = details["loc"]
        if details["type"] != "extra_forbidden":
            self._refuse(location, _explanation(details))
            return
        *parents, name = location
        meant = meant_by(str(name), keys_of(_model_at(parents)), parents)
        self.problems.append(unknown_key(self._path(location), meant))
        if meant and self._value(meant) is None:
            self._bad.add(_outside_lists(meant))  # missing there: one mistake, one sentence


def parse_stack(
    config: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    secret_keys: Collection[str],
) -> tuple[list[Entry], list[str]]:
    """Takes a stack's keys apart into entries, one where there is no list of several.

    Args:
        config: top-level keys with what the engine hands over for them.
        environment: environment variables, from which some keys take their default.
        secret_keys: top-level keys that the stack file keeps encrypted, at least in part. Their
            values stay out of messages.

    Returns:
        The entries, and the problems of top-level keys.
    """
    shared: dict[str, Any] = {}
    problems: list[str] = []
    bad: set[str] = set()
    misspelt: set[str] = set()
    kinds = {key: kind_of(field.annotation) for key, field in KEYS.items()} | {LIST_KEY: "array"}
    # The engine calls a whole object secret when one value in it is: the model knows which.
    hidden = {key for key in secret_keys if kinds.get(key) != "object"}
    for key, text in config.items():
        if key not in kinds:
            meant = meant_by(key, kinds)
            problems.append(_without_path(key, kinds) or unknown_key(key, meant))
            misspelt |= {str(meant[0])} if meant else set()
            continue
        try:
            shared[key] = decode(text, kinds[key])
        except Refused as error:
            shown = "" if key in hidden or _is_hidden((key,)) else shown_value(text)
            problems.append(sentence(key, shown, str(error)))
            bad.add(key)
    # What is misspelt is missing in its place, and that needs no more words.
    bad |= {key for key in misspelt if not shared.get(key)}
    listed = shared.pop(LIST_KEY, None) or []
    entries = []
    for index, own in enumerate(listed or [{}]):
        if not isinstance(own, dict):
            problems.append(sentence(f"{LIST_KEY}[{index}]", "", _WRONG_TYPE["object"]))
            continue
        given = shared | own
        defaults = _environment_defaults(given, environment)
        entries.append(
            Entry(
                given | {key: value for key, (_, value) in defaults.items()},
                prefix=f"{LIST_KEY}[{index}]." if listed else "",
                own=own,
                bad=bad - own.keys(),
                shown_as={key: variable for key, (variable, _) in defaults.items()},
                hidden=hidden - own.keys(),
                encrypted=own.keys() | secret_keys
                if LIST_KEY in secret_keys
                else set(secret_keys) - own.keys(),
            )
        )
    # A list that could not be read says nothing of what its entries lack.
    return ([] if LIST_KEY in bad else entries), problems


def _environment_defaults(
    given: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, tuple[str, Any]]:
    """For keys that are not given: the environment variable that stands in, and its value."""
    found: dict[str, tuple[str, Any]] = {}
    servers = environment.get("CLOUDDP_NAMESERVERS", "").replace(",", " ").split()
    if servers and not given.get("nameservers"):
        found["nameservers"] = ("CLOUDDP_NAMESERVERS", servers)
    variable, url = of_environment(environment)
    if url and not given.get("proxy"):
        found["proxy"] = (variable, url)
    return found


def sentence(path: str, shown: str, text: str) -> str:
    """One sentence that is safe on a terminal: the key, its value if it is shown, and the text."""
    lead = f"{path} {shown}" if shown else path
    whole = f"{lead} {text}" if text.endswith((".", "?")) else f"{lead} {text}."
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in whole)


def shown_value(value: Any) -> str:
    """A value as a message shows it: short and simple ones only."""
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, str) and len(value) <= _LONGEST_SHOWN_VALUE:
        return f'"{value}"'
    return ""


def meant_by(
    name: str, known: Collection[str], parents: Sequence[str | int] = ()
) -> Location | None:
    """Where the key is that a wrong one must mean.

    Args:
        name: the wrong key.
        known: the keys that there are in its place.
        parents: that place.

    Returns:
        A key of that name in another place, else the nearest in this place, else the only one in
        this place that has the wrong one in it, else None.
    """
    elsewhere = next((key for key in _nested_keys() if key[-1] == name), None)
    by_lower_case = {key.lower(): key for key in known}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    if not near and len(name) >= _SHORTEST_PART:
        having = [key for key in by_lower_case if name.lower() in key]
        near = having if len(having) == 1 else []
    return elsewhere or ((*parents, by_lower_case[near[0]]) if near else None)


def _without_path(key: str, known: Collection[str]) -> str:
    """The sentence about a dotted key that was set as if it were a top-level one, or empty."""
    first = re.split(r"[.\[]", key)[0]
    if first == key or first not in known:
        return ""
    return sentence(
        key,
        "",
        f"is a part of {first}, and was set as a key of its own: remove it with `pulumi config rm "
        f"'{key}'`, and set it with `pulumi config set --path '{key}'`",
    )


def unknown_key(path: str, meant: Location | None) -> str:
    """The sentence about a key that there is not."""
    advice = "docs/settings.md lists them all"
    if meant:
        *parents, name = meant
        elsewhere = path.endswith(str(name))
        advice = f'it belongs in "{parents[-1]}"' if elsewhere else f'did you mean "{name}"?'
    return sentence(path, "", f"is not a setting here: {advice}")


def decode(text: Any, kind: str) -> Any:
    """The value of a top-level key, which the engine hands over as text.

    Raises:
        Refused: the text is not of that kind.
    """
    if not isinstance(text, str) or kind == "string" or not text.strip():
        return text
    try:
        value = json.loads(text.lower() if kind == "boolean" else text)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = None
    right = {"integer": int, "boolean": bool, "array": list, "object": dict}[kind]
    if type(value) is not right:
        raise Refused(_WRONG_TYPE[kind])
    return value


def _without_neutral(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what stands for "not given": null and whatever is empty."""
    keys = keys_of(model)
    kept: dict[str, Any] = {}
    for key, value in given.items():
        if key in keys and (value is None or value in ("", [], {})):
            continue
        nested = model_of(keys[key].annotation) if key in keys else None
        kept[key] = _without_neutral(nested, value) if nested and isinstance(value, dict) else value
    return kept


def _explanation(details: ErrorDetails) -> str:
    kind = _KIND_OF_ERROR.get(details["type"])
    if kind:
        return _WRONG_TYPE[kind]
    match details["type"]:
        case "value_error":
            return str(details["ctx"]["error"])
        case "enum":
            expected = details["ctx"]["expected"].replace("'", '"')
            return f"is not one of the choices: use {expected}"
        case "missing":
            return "is missing: add it"
    return f"is not valid: {details['msg']}"


def _steps(key: str) -> Location:
    """A well-formed dotted key, such as ``access.clientTrustRoots[0]``, step by step."""
    return tuple(
        int(step) if step.isdigit() else step for step in re.split(r"[.\[]", key.replace("]", ""))
    )


def _dotted(location: Location) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _outside_lists(location: Location) -> str:
    return _dotted(tuple(takewhile(lambda step: isinstance(step, str), location)))


def _drop(values: dict[str, Any], location: Location) -> None:
    """Takes out what was refused: the key itself, or the whole list that it is in."""
    at: Any = values
    steps = list(location)
    while len(steps) > 1 and isinstance(at.get(steps[0]), dict) and isinstance(steps[1], str):
        at = at[steps.pop(0)]
    at.pop(steps[0], None)


def _field_at(location: Iterable[str | int]) -> FieldInfo | None:
    model: type[BaseModel] | None = DistributionPointKeys
    field = None
    for step in location:
        if isinstance(step, int):
            model = model_of(item_of(field.annotation)) if field else None
        else:
            field = keys_of(model).get(step) if model else None
            model = model_of(field.annotation) if field else None
    return field


def _model_at(location: Iterable[str | int]) -> type[BaseModel]:
    field = _field_at(location)
    if field is None:
        return DistributionPointKeys
    annotation = field.annotation
    return model_of(annotation) or model_of(item_of(annotation)) or DistributionPointKeys


def _is_hidden(location: Location) -> bool:
    field = _field_at(location)
    return (
        field is None
        or not field.repr
        or is_secret(field.annotation)
        or kind_of(field.annotation) == "object"  # text in its place may be one of its secrets
    )


def nested_secrets() -> Iterator[tuple[str, str]]:
    """The secrets that stand in an object: its key, and theirs."""
    for key, name in _nested_keys():
        field = _field_at((key, name))
        if field and is_secret(field.annotation):
            yield key, name


def _nested_keys() -> Iterator[tuple[str, str]]:
    for key, field in KEYS.items():
        nested = model_of(field.annotation)
        for name in keys_of(nested) if nested else ():
            yield key, name
