"""What the SDK says about each resource type, read from its source and kept as compact JSON.

The provider's own metadata is not published as a package, but the Python SDK carries the same
knowledge in its types: names, required inputs, types, enums, discriminators, outputs. It is read
as text, without importing it (importing nine of its modules costs seconds and 100 MB), once for
each SDK version.

A type is compact JSON: "s" string, "b" boolean, "i" integer, "n" number, "a" anything,
["l", T] list, ["m", T] map, ["r", name] object, ["e", name] enum, ["u", T, ...] one of.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# pulumi/pulumi sdk/go/common/resource/plugin/rpc.go: one marker for each kind of unknown value.
UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

Schema = dict[str, Any]
_SCALARS = {"str": "s", "bool": "b", "int": "i", "float": "n", "Any": "a"}
_CLASS = re.compile(r"^(?:@.*\n)*class (\w+)\b", re.M)
_GETTER = re.compile(r'@pulumi\.getter(?:\(name="(\w+)"\))?\n    def (\w+)\(self\) -> (.+):\n')
_INIT = re.compile(r"def __init__\(__self__, \*,(.*?)\):\n", re.S)
_CONST = re.compile(r"^        pulumi\.set\(__self__, \"(\w+)\", '([^']*)'\)", re.M)
_MEMBER = re.compile(r"^    \w+ = ('[^']*'|\"[^\"]*\")$", re.M)
_VERSION = re.compile(r"Uses Azure REST API version ([\w-]+)\.")


def is_unknown(value: object) -> bool:
    """Whether the engine does not know this value yet (in a preview)."""
    return isinstance(value, str) and value in UNKNOWNS


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@lru_cache(maxsize=64)
def _classes(path: Path) -> dict[str, str]:
    """The source text of each class of a module, by name."""
    text = path.read_text(encoding="utf-8")
    found = list(_CLASS.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {m.group(1): text[m.start() : end] for m, end in zip(found, ends, strict=True)}


class _Reader:
    """Collects the types that some resource types need, with all that these refer to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects: dict[str, Schema] = {}
        self.enums: dict[str, list[str]] = {}

    def resource(self, token: str) -> Schema:
        module, name = token.split(":")
        classes = _classes(self.root / module / f"{_snake(name)}.py")
        args = classes.get(f"{name}InitArgs") or classes[f"{name}Args"]
        version = _VERSION.search(classes[name])
        return {
            "in": self._inputs(module, args),
            "out": {
                camel or snake: self._type(module, ast.parse(hint, mode="eval").body)
                for camel, snake, hint in _GETTER.findall(classes[name])
            },
            "version": version.group(1) if version else "",
        }

    def _inputs(self, module: str, text: str) -> Schema:
        """Property -> [type, required, constant or None]."""
        signature = _INIT.search(text)
        camel = {snake: name or snake for name, snake, _ in _GETTER.findall(text)}
        if signature is None:
            return {}
        parsed = ast.parse(f"def f(*,{signature.group(1)}): pass").body[0]
        assert isinstance(parsed, ast.FunctionDef)
        consts = dict(_CONST.findall(text))
        return {
            camel.get(arg.arg, arg.arg): [
                self._type(module, arg.annotation),
                default is None,
                consts.get(arg.arg),
            ]
            for arg, default in zip(parsed.args.kwonlyargs, parsed.args.kw_defaults, strict=True)
        }

    def _type(self, module: str, node: ast.expr | None) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._named(module, node.value)
        if isinstance(node, ast.Attribute):
            return _SCALARS.get(node.attr, "a")
        if isinstance(node, ast.Name):
            return _SCALARS.get(node.id, "a")
        if not isinstance(node, ast.Subscript):
            return "a"
        outer = ast.unparse(node.value).rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in ("Input", "Optional", "Output"):
            return self._type(module, inner[0])
        if outer == "Sequence":
            return ["l", self._type(module, inner[0])]
        if outer == "Mapping":
            return ["m", self._type(module, inner[1])]
        kinds = [self._type(module, each) for each in inner]
        named = [kind for kind in kinds if kind[0] == "e"]
        return named[0] if named else ["u", *kinds] if len(kinds) > 1 else kinds[0]

    def _named(self, module: str, name: str) -> Any:
        is_output = name.startswith("outputs.")
        bare = name.removeprefix("outputs.")
        key = f"{module}:{bare}"
        if key in self.enums:
            return ["e", key]
        if key not in self.objects:
            folder = self.root / module
            text = _classes(folder / ("outputs.py" if is_output else "_inputs.py")).get(bare)
            if text is None:
                enum = _classes(folder / "_enums.py").get(bare)
                if enum is None:
                    return "a"
                self.enums[key] = [ast.literal_eval(value) for value in _MEMBER.findall(enum)]
                return ["e", key]
            self.objects[key] = {}  # it may refer to itself
            self.objects[key] = self._inputs(module, text)
        return ["r", key]


def load(tokens: Iterable[str]) -> Schema:
    """The compact schema of these types ("network:Subnet"), from the cache when it is there."""
    spec = importlib.util.find_spec("pulumi_azure_native")
    if spec is None or spec.origin is None:
        raise RuntimeError("the sandbox needs the package pulumi-azure-native: pip install it")
    wanted = sorted(tokens)
    own = Path(__file__).read_bytes() + "\n".join(wanted).encode()
    version = importlib.metadata.version("pulumi-azure-native")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clouddp"
    path = cache / f"azure-native-{version}-{hashlib.sha256(own).hexdigest()[:12]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        reader = _Reader(Path(spec.origin).parent)
        resources = {token: reader.resource(token) for token in wanted}
        schema = {"resources": resources, "objects": reader.objects, "enums": reader.enums}
        _classes.cache_clear()
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(schema, separators=(",", ":")), encoding="utf-8")
        part.replace(path)
        return schema


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that looks most like this one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


_WORDS = {"s": "string", "b": "boolean", "i": "integer", "n": "number", "l": "array"}


def _got(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return {str: "a string", list: "an array", dict: "an object"}.get(type(value), "nothing")


class Checker:
    """Compares values with the schema."""

    def __init__(self, schema: Schema, more: Mapping[str, Iterable[str]]) -> None:
        """`more`: values that Azure takes though the SDK's enum of that name lacks them."""
        self.schema = schema
        self._enums = {
            name: {value.lower() for value in (*values, *more.get(name, ()))}
            for name, values in schema["enums"].items()
        }

    def inputs(self, token: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(property, reason) for all that is wrong with these inputs."""
        yield from self._object(self.schema["resources"][token]["in"], values, "")

    def _object(
        self, shape: Schema, values: Mapping[str, Any], at: str
    ) -> Iterator[tuple[str, str]]:
        for name, (_, required, _) in shape.items():
            if required and values.get(name) is None:
                yield at + name, f"missing required property '{at}{name}'"
        for name, value in values.items():
            if name in shape:
                kind, _, constant = shape[name]
                yield from self._value(kind, value, at + name, constant)
            elif name != "__createBeforeDelete":
                yield at + name, f"unknown property '{at}{name}'{nearest(name, shape)}"

    def _value(
        self, kind: Any, value: Any, at: str, constant: str | None = None
    ) -> Iterator[tuple[str, str]]:
        if kind == "a" or value is None or is_unknown(value):
            return
        code = kind[0]
        fits: Any = {
            "s": str,
            "e": str,
            "b": bool,
            "i": int,
            "n": (int, float),
            "l": list,
        }.get(code, dict)
        if code == "u":
            yield from self._union(kind[1:], value, at)
        elif not isinstance(value, fits) or (isinstance(value, bool) and code != "b"):
            word = _WORDS.get(code, "string" if code == "e" else "object")
            yield at, f"'{at}' should be of type '{word}' but got {_got(value)}"
        elif code == "l":
            for index, item in enumerate(value):
                yield from self._value(kind[1], item, f"{at}[{index}]")
        elif code == "m":
            for key, item in value.items():
                yield from self._value(kind[1], item, f"{at}.{key}")
        elif code == "r":
            yield from self._object(self.schema["objects"][kind[1]], value, f"{at}.")
        elif constant is not None and value != constant:
            yield at, f"'{at}' must be '{constant}', not '{value}'"
        elif code == "e" and not {value.lower(), "*"} & self._enums[kind[1]]:
            known = ", ".join(self.schema["enums"][kind[1]])
            yield at, f"'{at}' is '{value}' but must be one of {known}"

    def _union(self, kinds: list[Any], value: Any, at: str) -> Iterator[tuple[str, str]]:
        tried = [list(self._value(kind, value, at)) for kind in kinds]
        # The variant whose discriminator the value carries has the most telling complaints.
        yield from min(
            tried, key=lambda found: (any("must be '" in why for _, why in found), len(found))
        )

    def outputs(self, token: str, values: Mapping[str, Any], *, preview: bool) -> dict[str, Any]:
        """The part of `values` that Azure returns, in a preview with the rest as unknown.

        As `PreviewOutputs` in pulumi-azure-native provider/pkg/convert does: inputs that are
        also outputs keep their value, all other outputs are unknown.
        """
        out = self.schema["resources"][token]["out"]
        return self._known(((name, kind) for name, kind in out.items()), values, preview)

    def _known(
        self, shape: Iterable[tuple[str, Any]], values: Mapping[str, Any], preview: bool
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, kind in shape:
            if values.get(name) is not None:
                result[name] = self._shaped(kind, values[name], preview)
            elif preview:
                result[name] = UNKNOWN
        return result

    def _shaped(self, kind: Any, value: Any, preview: bool) -> Any:
        if kind[0] == "l" and isinstance(value, list):
            return [self._shaped(kind[1], item, preview) for item in value]
        if kind[0] == "r" and isinstance(value, dict):
            shape = self.schema["objects"][kind[1]]
            return self._known(((n, k[0]) for n, k in shape.items()), value, preview)
        if preview and kind[0] == "m" and isinstance(value, list):
            return UNKNOWN  # user-assigned identities: ids go in, and a map of them comes out
        return value

    def inputs_of(self, shape: Schema, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The part of outputs that are inputs: all but what is read-only."""
        return {
            name: self._writable(shape[name][0], item)
            for name, item in outputs.items()
            if name in shape
        }

    def _writable(self, kind: Any, value: Any) -> Any:
        if kind[0] == "l" and isinstance(value, list):
            return [self._writable(kind[1], item) for item in value]
        if kind[0] == "r" and isinstance(value, dict):
            return self.inputs_of(self.schema["objects"][kind[1]], value)
        return value
