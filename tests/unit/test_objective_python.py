"""The objective `python`: its section, what `submit` checks and records of it, and how the function is called."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from orchestrator.errors import UsageError
from tuning_worker.objectives import OBJECTIVES, build_objective, spec_class
from tuning_worker.objectives.protocol import EvaluationFailed
from tuning_worker.objectives.python import PythonSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.every_python


@pytest.fixture(autouse=True)
def _imports_are_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("orch_user"):
            del sys.modules[name]


def section(function: str = "orch_user:f", **more: Any) -> dict[str, Any]:
    return {"kind": "python", "function": function, "metric": "value", "direction": "maximize", **more}


def write(base: Path, source: str, name: str = "orch_user.py") -> Path:
    file = base / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return file


def test_every_kind_of_the_table_has_a_spec() -> None:
    for kind in OBJECTIVES:
        assert spec_class(kind).model_fields["kind"].annotation is not None
    with pytest.raises(UsageError, match="no objective of the kind 'magic'; there are: arbitrage, command, python"):
        spec_class("magic")


@pytest.mark.parametrize("function", ["module", "module:", ":f", "a..b:f", "a.b:f.g", "1a:f", "a b:f", "../a:f"])
def test_a_function_is_written_module_colon_name(function: str) -> None:
    with pytest.raises(ValidationError, match="function"):
        PythonSpec.model_validate(section(function))


def test_the_function_gets_one_dict_of_fixed_and_suggested_entries(tmp_path: Path) -> None:
    write(
        tmp_path,
        "def f(params):\n    params['deep'].append(1)\n    return {'value': 1, 'seen': len(params['deep']), **params}",
    )
    objective = build_objective(section(params={"rounds": 3, "deep": []}), tmp_path)
    for lr in (0.5, 0.25):
        assert objective.evaluate({"lr": lr}) == {"value": 1, "seen": 1, "rounds": 3, "lr": lr}


def test_the_folder_of_the_config_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "far", "def f(params): return 1")
    write(tmp_path / "near", "def f(params): return 2")
    sys.path.insert(0, str(tmp_path / "far"))
    assert build_objective(section(), tmp_path / "near").evaluate({}) == {"value": 2}


def test_what_submit_found_is_found_where_the_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "elsewhere", "def f(params): return 1", "orch_user_pack/deep.py")
    write(tmp_path / "elsewhere", "", "orch_user_pack/__init__.py")
    with monkeypatch.context() as submitter:
        submitter.setattr(sys, "path", [str(tmp_path / "elsewhere"), *sys.path])
        spec = PythonSpec.model_validate(section("orch_user_pack.deep:f"))
        assert spec.check(tmp_path, ("lr",)) == []
        resolved = spec.resolved(tmp_path)
    assert resolved["module_file"] == str(file)
    assert resolved["module_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert PythonSpec.model_validate(resolved).resolved(tmp_path)["function"] == "orch_user_pack.deep:f"
    assert build_objective(resolved, tmp_path).evaluate({}) == {"value": 1}


def test_a_package_itself_may_hold_the_function(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "def f(params): return 1", "orch_user_pack/__init__.py")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    resolved = PythonSpec.model_validate(section("orch_user_pack:f")).resolved(tmp_path)
    sys.path.pop(0)
    assert build_objective(resolved, tmp_path).evaluate({}) == {"value": 1}


def test_where_submit_found_it_gives_nothing_that_is_found_without(tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere", "def f(params): return 1")
    write(tmp_path / "elsewhere", "raise AssertionError", "orch_user_helper.py")
    write(tmp_path / "near", "", "orch_user_helper.py")
    sys.path.append(str(tmp_path / "near"))
    assert build_objective(section(module_file=str(file)), tmp_path).evaluate({}) == {"value": 1}
    __import__("orch_user_helper")


def test_a_module_without_a_file_is_resolved_by_name_alone(tmp_path: Path) -> None:
    for function in ("builtins:len", "no_such_module_here:f"):
        resolved = PythonSpec.model_validate(section(function)).resolved(tmp_path)
        assert PythonSpec.model_validate(resolved).module_file is None


def test_a_module_edited_since_submit_is_used_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "def f(params): return 1")
    resolved = PythonSpec.model_validate(section()).resolved(tmp_path)
    build_objective(resolved, tmp_path)
    assert capsys.readouterr().err == ""
    write(tmp_path, "def f(params): return 2")
    build_objective(resolved, tmp_path)
    assert capsys.readouterr().err == f"warning: {file} has changed since submit\n"
    file.unlink()
    build_objective(resolved, tmp_path)  # imported already
    assert "is gone" in capsys.readouterr().err


def test_check_tells_of_every_problem(tmp_path: Path) -> None:
    spec = PythonSpec.model_validate(section("orch_user_none:f", params={"lr": 1, "depth": 2}))
    first, second, third = spec.check(tmp_path, ("lr", "depth", "other"))
    assert first.startswith("depth is in both params (fixed) and the search space")
    assert second.startswith("lr is in both")
    assert third.startswith("there is no module orch_user_none")


def test_a_name_that_cannot_be_called_is_told(tmp_path: Path) -> None:
    write(tmp_path, "f = 3")
    with pytest.raises(EvaluationFailed, match=r"TypeError: orch_user:f is int: it cannot be called"):
        build_objective(section(), tmp_path)


def test_an_async_function_behind_a_decorator_is_bad_output(tmp_path: Path) -> None:
    write(tmp_path, "async def g(params): return 1\ndef f(params): return g(params)")
    with pytest.raises(EvaluationFailed, match="bad_output: the function is async"):
        build_objective(section(), tmp_path).evaluate({})


@pytest.mark.parametrize(
    "change", [{"direction": "up"}, {"metric": ""}, {"extra": 1}], ids=["direction", "metric", "extra"]
)
def test_a_wrong_field_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        build_objective(section(**change), tmp_path)
