"""Starts the stand-in (as the engine does), or changes the sandbox's Azure by hand."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _package() -> None:
    """Installed as a plug-in, this folder has a name that is none of a package: give it one."""
    name = globals()["__package__"] = "clouddp_sandbox_provider"
    spec = importlib.util.spec_from_file_location(
        name, _HERE / "__init__.py", submodule_search_locations=[str(_HERE)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _light_pulumi() -> None:
    """Only the protocol's stubs are needed: `import pulumi` would cost each command 0.15 s."""
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the sandbox needs the package pulumi: pip install -r requirements.txt")
    folder = spec.submodule_search_locations[0]
    for name, path in (("pulumi", folder), ("pulumi.runtime", f"{folder}/runtime")):
        module = types.ModuleType(name)
        module.__path__ = [path]
        sys.modules.setdefault(name, module)


if __name__ == "__main__":
    if not __package__:
        _package()
    # With --logflow, the engine puts its logging options before its address.
    words = [each for each in sys.argv[1:] if not each.startswith("-")]
    if len(sys.argv) > 1 and not "".join(words[:1]).replace(".", "").replace(":", "").isdigit():
        from .tool import main

        main(sys.argv[1:])
    else:
        _light_pulumi()
        from .service import serve

        serve(words[0] if words else None)
