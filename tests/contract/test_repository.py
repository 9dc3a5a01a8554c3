"""What the repository promises of itself: configs that load, locks without addresses, documents that are true."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from orchestrator.cli import VERBS
from orchestrator.cli.app import app
from orchestrator.domain import optimizers
from orchestrator.domain.session import SessionSpec, load_session
from orchestrator.errors import OrchError
from orchestrator.executors import EXECUTORS, make_executor
from tuning_worker.config import TuningConfig, load_tuning_config
from tuning_worker.objectives import OBJECTIVES, spec_class
from tuning_worker.optimizers import OPTIMIZERS
from tuning_worker.records.csvfile import FIXED

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LOCKS = sorted(ROOT.glob("requirements*.lock"))
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
needs_a_clone = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git clone")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments], capture_output=True, text=True, check=False
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return {name: group.get_command(typer.Context(group), name) for name in VERBS}


# --- configs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGS, ids=named)
def test_every_config_loads(path: Path):
    raw = path.read_bytes()
    if raw.decode().lstrip("#").find("\ntuning:") >= 0:
        config = load_tuning_config(raw, named(path))
        assert config.objective.check(path.parent, tuple(config.search_space)) == []
    else:
        spec = load_session(raw, named(path))
        assert spec.worker_command or (ROOT / spec.config_path).is_file()


def test_the_baseline_session_is_the_one_that_other_programs_know():
    spec = load_session((ROOT / "configs/d28_orchestrator/demo_baseline.yaml").read_bytes(), "demo_baseline.yaml")
    assert spec.model_dump(include={*SessionSpec.model_fields} & spec.model_fields_set) == {
        "session_id": "d28-demo-session",
        "total_iterations": 6,
        "workers": 2,
        "mode": "paper",
        "env": "docker",
        "optimizer": "bayesian",
        "config_path": "configs/d23_tuning/advanced_baseline.yaml",
        "base_output_csv": "outputs/d28_tuning_session",
    }


# --- packaging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LOCKS, ids=named)
def test_a_lock_pins_and_hashes_everything_and_names_no_address(path: Path):
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    pinned = re.findall(r"^[a-z0-9][\w.-]*==\S+.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+$", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 0


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PYPROJECT["project"]["dependencies"]),
        ("requirements-build.lock", PYPROJECT["dependency-groups"]["build"]),
        (
            "requirements-dev.lock",
            [
                *PYPROJECT["project"]["dependencies"],
                *(each for group in ("build", "test", "lint") for each in PYPROJECT["dependency-groups"][group]),
            ],
        ),
    ],
)
def test_a_lock_has_all_that_pyproject_asks_for(lock: str, wanted: list[str]):
    locked = set(re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[\[<>=!~ ]", each)[0].lower() for each in wanted} <= locked


def test_the_locks_agree():
    versions: dict[str, set[str]] = {}
    for path in LOCKS:
        text = path.read_text(encoding="utf-8")
        for name, pins in _pins(text).items():
            versions.setdefault(name, set()).add(pins)
    assert {name: pins for name, pins in versions.items() if len(pins) > 1} == {}


def _pins(text: str) -> dict[str, str]:
    """All pins of each package of a lock in one text: there may be several, for different Pythons."""
    pins: dict[str, str] = {}
    for name, pin in re.findall(r"^([a-z0-9][\w.-]*)(==.*?) \\$", text, re.MULTILINE):
        pins[name] = pins.get(name, "") + pin
    return pins


def test_the_wheel_has_the_scripts_of_the_store_and_both_commands(tmp_path: Path):
    pytest.importorskip("hatchling", reason="hatchling is not installed (make setup installs it)")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    scripts = sorted((ROOT / "src/orchestrator/store/lua").glob("*.lua"))
    assert scripts
    for path in [*scripts, ROOT / "src/orchestrator/py.typed", ROOT / "src/tuning_worker/py.typed"]:
        assert path.relative_to(ROOT / "src").as_posix() in listed
    assert set(PYPROJECT["project"]["scripts"]) == {"orch", "tuning-worker"}


@pytest.mark.parametrize("path", [".ci/run", "scripts/find-python.sh"])
def test_a_script_can_be_run(path: str):
    assert (ROOT / path).stat().st_mode & stat.S_IXUSR


def test_find_python_passes_over_what_does_not_really_run(tmp_path: Path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    find = str(ROOT / "scripts/find-python.sh")
    found = subprocess.run(
        [find, str(shim), "no-such-python", sys.executable], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == sys.executable

    nothing = subprocess.run([find, str(shim), "no-such-python"], capture_output=True, text=True, check=False)
    assert nothing.returncode == 1
    assert "Python 3.11" in nothing.stderr


# --- layers ---------------------------------------------------------------------------------------------------------


def test_the_import_contracts_hold():
    pytest.importorskip("importlinter", reason="import-linter is not installed (make setup installs it)")
    lint_imports = Path(sys.executable).with_name("lint-imports")
    linted = subprocess.run(
        [lint_imports, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},  # this tree, whichever is installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_the_tables_lead_to_what_they_name():
    for kind in OBJECTIVES:
        assert get_args(spec_class(kind).model_fields["kind"].annotation) == (kind,)
    for name in EXECUTORS:
        assert make_executor(name).name == name
    for name in VERBS:
        assert commands()[name].help
    assert set(optimizers.SHIPPED) == set(OPTIMIZERS)


# --- documents ------------------------------------------------------------------------------------------------------


def test_the_generated_tables_are_what_the_code_says():
    checked = script("reference.py", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.timeout(900)
def test_the_readme_shows_what_the_commands_print_now():
    checked = script("capture.py", "--check", str(ROOT / "README.md"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_captured_block_has_been_captured(path: Path):
    text = path.read_text(encoding="utf-8")
    for command, shown in re.findall(r"<!-- captured: (.+?)(?: \(exit \d+\))? -->\n```console\n\$ (.*)\n", text):
        assert command == shown
    assert text.count("<!-- captured: ") == len(re.findall(r"<!-- captured: .+? -->\n```console\n\$ ", text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path):
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        page = path.parent / target if target else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The names that a renderer gives to a page's headings: letters in lower case, no punctuation, `-` for a space."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_documents_name_only_verbs_and_options_that_there_are(path: Path):
    known = commands()
    code = re.findall(r"^```.*?^```$|`[^`\n]+`", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for span in code:
        for verb, rest in re.findall(r"(?:^|`|[$#|;] )orch ([a-z]+)\b([^`\n]*)", span, re.MULTILINE):
            assert verb in known, span
            options = {name for parameter in known[verb].params for name in parameter.opts} | {"--help"}
            assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition("#")[0])) <= options, span


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_documents_name_only_make_targets_that_there_are(path: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = re.findall(r"^```sh\n.*?^```$|`[^`\n]+`", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert {target for span in code for target in re.findall(r"(?:^|`)make ([a-z]+)", span, re.MULTILINE)} <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_documents_name_only_files_that_there_are(path: Path):
    roots = [ROOT, ROOT / "src", ROOT / "src/orchestrator", ROOT / "src/tuning_worker"]
    examples = {"NAME", "VERB", "utils"}
    for name in re.findall(r"`([\w./]+/[\w.]+\.(?:py|lua|yaml|sh)|\w+\.py)`", path.read_text(encoding="utf-8")):
        written = f"<!-- file: {name} -->" in path.read_text(encoding="utf-8")
        assert written or Path(name).stem in examples or any((root / name).is_file() for root in roots), name


def test_the_reference_has_every_field_that_is_written_by_hand():
    tuning = (ROOT / "docs/reference/tuning.md").read_text(encoding="utf-8")
    for name in (*TuningConfig.model_fields, *OPTIMIZERS, *OBJECTIVES):
        assert name in tuning
    csv = (ROOT / "docs/reference/csv.md").read_text(encoding="utf-8")
    for column in (*FIXED, "params_NAME", "metrics_NAME"):
        assert f"`{column}`" in csv


def test_the_reference_has_every_exit_code():
    codes = {
        int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "docs/reference/cli.md").read_text(), re.MULTILINE)
    }
    commands()  # brings every module that has an error of its own
    classes, found = [OrchError], set()
    while classes:
        error = classes.pop()
        found.add(error.exit_code)
        classes += error.__subclasses__()
    assert codes == found | {0, 130}


# --- what is committed ----------------------------------------------------------------------------------------------


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@needs_a_clone
def test_no_file_names_this_machine_or_a_package_registry():
    # A letter in brackets, or this file would be found.
    hosts = rb"//[^/\s]*(?:[p]ypi|[p]ythonhosted|[n]pmjs|[d]ebian\.org)"
    foreign = re.compile(hosts + b"|" + re.escape(str(ROOT).encode()) + b"/")
    assert [named(path) for path in committed() if foreign.search(path.read_bytes())] == []


@needs_a_clone
def test_a_new_clone_ignores_what_its_targets_make():
    made = [
        ".venv/x",
        ".venv-3.12/x",
        "outputs/x.csv",
        ".coverage.1",
        "uv.lock",
        "dist/x",
        "src/orchestrator/__pycache__/x",
    ]
    ignored = subprocess.run(
        ["git", "check-ignore", "--", *made], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert ignored == made
