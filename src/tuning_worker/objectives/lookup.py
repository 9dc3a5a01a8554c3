"""Finds a user's function and looks at its source without importing it: an import may do anything.

Only what cannot be told from the source (a compiled module, `from x import *`) is imported, in a process of its own.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IMPORT_SECONDS: Final = 60
_IMPORT: Final = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
found = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
sys.exit(0 if callable(found) else f"it is {type(found).__name__}, which cannot be called")
"""

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Found:
    """A module that was found.

    Attributes:
        file: its source or binary; None where it has none (built in, a namespace).
        root: the folder that has to be on `sys.path`, where the file tells.
    """

    file: Path | None
    root: Path | None


def find_module(name: str, base: Path) -> Found | None:
    """Find a module beside the tuning config, else on PYTHONPATH, else installed; nothing is imported.

    Args:
        name: with its packages, `package.module`.
        base: the folder of the tuning config.
    """
    top, *rest = name.split(".")
    spec = PathFinder.find_spec(top, [str(base), *sys.path]) or _find_installed(top)
    for part in rest:
        # By its last name alone: given the full one, the finder of a namespace would ask for its parent's import.
        folders = list(spec.submodule_search_locations or ()) if spec else []
        spec = PathFinder.find_spec(part, folders)
    if spec is None:
        return None
    if not spec.has_location or spec.origin is None:
        return Found(None, None)
    file = Path(spec.origin).absolute()
    depth = len(rest) + (1 if spec.submodule_search_locations is not None else 0)
    return Found(file, file.parents[depth])


def function_problems(module: str, function: str, base: Path) -> list[str]:
    """Say what keeps `module:function` from being called with one dict; an empty list is good news."""
    found = find_module(module, base)
    if found is None:
        return [f"there is no module {module}: looked in {base} (beside the tuning config), PYTHONPATH and installed"]
    if found.root == base.absolute() and module.partition(".")[0] in sys.stdlib_module_names:
        return [f"{found.file} has the name of a module of Python's own, which would be taken instead: rename it"]
    if found.file is None or found.file.suffix != ".py":
        return _problems_by_import(module, function, base)
    try:
        tree = ast.parse(found.file.read_bytes(), filename=str(found.file))
    except (OSError, ValueError, SyntaxError) as error:
        return [f"{found.file} cannot be read as Python: {error}"]
    return _problems_in(tree, function, found.file, lambda: _problems_by_import(module, function, base))


def may_yield(module: str, function: str, base: Path) -> bool:
    """Tell whether `module:function` may be a generator: False where its source says that it is none."""
    found = find_module(module, base)
    if found is None or found.file is None or found.file.suffix != ".py":
        return True
    definition = _top_level(ast.parse(found.file.read_bytes()))[0].get(function)
    if definition is None or definition.decorator_list:
        return True
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _statements(definition))


def _problems_in(tree: ast.Module, function: str, file: Path, ask: Callable[[], list[str]]) -> list[str]:
    names, certain = _top_level(tree)
    if function not in names:
        if not certain:
            return ask()
        nearest = difflib.get_close_matches(function, names, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return [f"{file} has no function {function}{hint}"]
    definition = names[function]
    if (
        definition is None or definition.decorator_list
    ):  # imported, assigned or wrapped: what it takes shows when called
        return []
    if isinstance(definition, ast.AsyncFunctionDef):
        return [f"{file}:{definition.lineno}: {function} is async; an objective is a plain function"]
    if not _takes_one(definition.args):
        return [f"{file}:{definition.lineno}: {function} must take one argument: it gets one dict of all parameters"]
    return []


def _find_installed(top: str) -> ModuleSpec | None:
    """Ask every finder there is: built-in modules, editable installs. A top-level name is found without an import."""
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # `__main__` and the like, imported without a spec
        return None


def _top_level(tree: ast.Module) -> tuple[dict[str, _Function | None], bool]:
    """Return what the names of a module are bound to (None: no plain function), and whether these are surely all."""
    names: dict[str, _Function | None] = {}
    certain = True
    for node in _statements(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names[node.name] = node
                certain = certain and node.name != "__getattr__"
            case ast.ClassDef():
                names[node.name] = None
            case ast.Import() | ast.ImportFrom():
                names.update({alias.asname or alias.name.partition(".")[0]: None for alias in node.names})
                certain = certain and all(alias.name != "*" for alias in node.names)
            case ast.Name(ctx=ast.Store()):
                names[node.id] = None
            case ast.Call(func=ast.Name(id="exec" | "globals" | "setattr")):
                certain = False
            case _:
                pass
    return names, certain


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what is executed there itself: into `if` and `try`, not into further functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _statements(child)


def _takes_one(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    keywords_needed = any(default is None for default in arguments.kw_defaults)
    return required <= 1 and (positional >= 1 or arguments.vararg is not None) and not keywords_needed


def _problems_by_import(module: str, function: str, base: Path) -> list[str]:
    command = [sys.executable, "-P", "-c", _IMPORT, str(base), module, function]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_IMPORT_SECONDS, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return [f"importing {module} took more than {_IMPORT_SECONDS} s"]
    if done.returncode == 0:
        return []
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return [f"{module}:{function} cannot be imported: {last}"]
