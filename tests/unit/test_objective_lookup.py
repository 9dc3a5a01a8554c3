"""A user's function is found and looked at without being imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tuning_worker.objectives import lookup
from tuning_worker.objectives.lookup import find_module, function_problems

if TYPE_CHECKING:
    from pathlib import Path

BOMB = "raise SystemExit('imported')\n"


def write(base: Path, **sources: str) -> None:
    for name, source in sources.items():
        file = base.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)


def test_a_module_is_found_beside_the_config_before_pythonpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (near := tmp_path / "near").mkdir()
    (far := tmp_path / "far").mkdir()
    monkeypatch.setattr(sys, "path", [str(far), *sys.path])
    write(far, orch_test_mod=BOMB)
    found = find_module("orch_test_mod", near)
    assert found is not None
    assert (found.file, found.root) == (far / "orch_test_mod.py", far)
    write(near, orch_test_mod=BOMB)
    found = find_module("orch_test_mod", near)
    assert found is not None
    assert (found.file, found.root) == (near / "orch_test_mod.py", near)


def test_packages_with_and_without_init_are_walked_without_an_import(tmp_path: Path) -> None:
    (tmp_path / "plain" / "inner").mkdir(parents=True)
    write(tmp_path, plain__inner__mod=BOMB)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(BOMB)
    write(tmp_path, pack__mod=BOMB)
    for name, file in {
        "plain.inner.mod": "plain/inner/mod.py",
        "pack.mod": "pack/mod.py",
        "pack": "pack/__init__.py",
    }.items():
        found = find_module(name, tmp_path)
        assert found is not None
        assert (found.file, found.root) == (tmp_path / file, tmp_path)
    for name in ("plain", "plain.inner"):
        found = find_module(name, tmp_path)
        assert found is not None
        assert found.file is None
    for name in ("plain.none", "pack.none.deeper", "pack.mod.x", "no_such_module_here", "__main__x"):
        assert find_module(name, tmp_path) is None
    assert not {"pack", "plain"} & sys.modules.keys()


def test_a_module_without_a_spec_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        __spec__ = None

    monkeypatch.setitem(sys.modules, "orch_bare", Bare())
    assert find_module("orch_bare", tmp_path) is None


GOOD = {
    "plain": "def f(params): return 1",
    "default": "def f(params, verbose=False, *, deep=1): return 1",
    "star": "def f(*args): return 1",
    "optional": "def f(params=None): return 1",
    "assigned": "f = lambda params: 1",
    "annotated": "f: object = len",
    "imported": "from math import sqrt as f",
    "module_import": "import math as f",
    "decorated": "import functools\n@functools.cache\ndef f(a, b): return 1",
    "conditional": "if True:\n    def f(params): return 1\nelse:\n    f = None",
    "tried": "try:\n    from math import sqrt as f\nexcept ImportError:\n    pass",
    "class_": "class f:\n    def __init__(self, params): pass",
    "global_": "(f := len)",
    "starred": "from math import *\nfrom builtins import *\nf = len",
    "star_import": "from math import sqrt\nfrom functools import *\nfrom orch_star_source import *",
    "getattr_": "def __getattr__(name):\n    return len",
    "executed": "exec('def f(params): return 1')",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_function_that_can_be_called_has_no_problems(name: str, tmp_path: Path) -> None:
    write(tmp_path, orch_user=GOOD[name], orch_star_source="def f(params): return 1")
    assert function_problems("orch_user", "f", tmp_path) == []


BAD = {
    "missing": ("def objectve(params): return 1", "has no function objective; did you mean objectve?"),
    "unlike": ("x = 1", "orch_user.py has no function objective"),
    "inner": ("class A:\n    def objective(self): pass", "has no function objective"),
    "local": ("def g():\n    objective = 1", "has no function objective"),
    "async_": ("\nasync def objective(params): return 1", "orch_user.py:2: objective is async"),
    "two": ("def objective(lr, depth): return 1", "orch_user.py:1: objective must take one argument"),
    "none": ("def objective(): return 1", "must take one argument"),
    "keyword": ("def objective(params, *, deep): return 1", "must take one argument"),
    "positional": ("def objective(a, b, /, c=1): return 1", "must take one argument"),
    "syntax": ("def objective(params:\n", "cannot be read as Python: .*line 1"),
    "null": ("x = 1\0", "cannot be read as Python"),
    "star_without": ("from math import *", "orch_user:objective cannot be imported: AttributeError"),
    "star_value": ("from builtins import *\nexec('objective = 3')", "cannot be imported: it is int, which cannot"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_function_that_cannot_be_called_is_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    source, says = BAD[name]
    write(tmp_path, orch_user=source)
    (problem,) = function_problems("orch_user", "objective", tmp_path)
    assert "\n" not in problem
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(problem)


def test_a_silent_death_of_an_import_is_told_too(tmp_path: Path) -> None:
    write(tmp_path, orch_user="import os\nfrom math import *\nos._exit(9)")
    assert function_problems("orch_user", "f", tmp_path) == ["orch_user:f cannot be imported: exit code 9"]


def test_an_import_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_IMPORT_SECONDS", 0.5)
    write(tmp_path, orch_user="import time\nfrom math import *\ntime.sleep(1000)")
    assert function_problems("orch_user", "f", tmp_path) == ["importing orch_user took more than 0.5 s"]


def test_modules_without_source_are_imported_to_look(tmp_path: Path) -> None:
    assert function_problems("math", "sqrt", tmp_path) == []
    (problem,) = function_problems("math", "sqroot", tmp_path)
    assert "cannot be imported: AttributeError" in problem


def test_no_module_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (problem,) = function_problems("no_such_module_here", "f", tmp_path)
    assert str(tmp_path) in problem
    assert "PYTHONPATH" in problem


def test_a_file_that_hides_behind_the_standard_library_is_refused(tmp_path: Path) -> None:
    write(tmp_path, statistics="def f(params): return 1")
    (problem,) = function_problems("statistics", "f", tmp_path)
    assert "rename it" in problem
