"""Session files: fields, defaults, overrides, and what is said about a wrong one."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.given import Given
from orchestrator.domain.plan import plan_jobs
from orchestrator.domain.session import (
    MAX_ITERATIONS,
    MAX_SEED,
    MAX_WORKERS,
    SessionSpec,
    choose_optimizer,
    choose_seed,
    derived_seed,
    dump_session,
    load_session,
    read_session,
    restore_session,
    session_hash,
)
from orchestrator.errors import SpecError, StateError

pytestmark = pytest.mark.every_python

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / "configs" / "d28_orchestrator"
SHORT = "session_id: a\ntotal_iterations: 6\nworkers: 2\n"


def load(more: str = "", **overrides: str) -> SessionSpec:
    return load_session(SHORT + more, "s.yaml", {key.replace("__", "."): value for key, value in overrides.items()})


def problems(text: str | bytes, overrides: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_session(text, "s.yaml", overrides)
    return str(caught.value).splitlines()


def problem_of(field: str, written: str) -> str:
    """What is said about one field, everything else being right."""
    lines = [line for line in SHORT.splitlines() if not line.startswith(f"{field}:")]
    (problem,) = problems("\n".join([*lines, f"{field}: {written}"]))
    return problem.partition(f": {field}")[2]


# --- the fields ---------------------------------------------------------------------------------------------------


def test_the_baseline_is_the_file_that_must_load_unchanged():
    spec = load_session((SESSIONS / "demo_baseline.yaml").read_bytes(), "demo_baseline.yaml")
    assert spec == SessionSpec(
        session_id="d28-demo-session",
        total_iterations=6,
        workers=2,
        mode="paper",
        env="docker",
        optimizer="bayesian",
        config_path="configs/d23_tuning/advanced_baseline.yaml",
        base_output_csv="outputs/d28_tuning_session",
    )


@pytest.mark.parametrize("path", sorted(SESSIONS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_session_loads_and_its_tuning_config_is_there(path: Path):
    spec = load_session(path.read_bytes(), path.name)
    assert plan_jobs(spec)
    assert spec.worker_command or (ROOT / spec.config_path).is_file()


def test_three_fields_are_enough_and_the_rest_has_its_defaults():
    spec = load()
    assert spec.model_dump(exclude={"session_id", "total_iterations", "workers"}) == {
        "mode": "paper",
        "env": "docker",
        "optimizer": None,
        "config_path": "configs/d23_tuning/advanced_baseline.yaml",
        "base_output_csv": "outputs/d28_tuning_session",
        "timeout": None,
        "iteration_timeout": None,
        "grace": timedelta(seconds=30),
        "max_attempts": 3,
        "max_failures": None,
        "schedule": "async",
        "resume_from": None,
        "seed": None,
        "priority": 0,
        "labels": {},
        "env_vars": {},
        "python": None,
        "worker_command": None,
    }


def test_the_other_fields_are_read():
    spec = load(
        "timeout: 1h30m\niteration_timeout: 0.5\ngrace: 0\nmax_attempts: 1\nseed: 7\npriority: -3\n"
        "labels: {team: research, run.2/x: ''}\nenv_vars: {TOKEN: 'a=b', _x1: ''}\n"
        "python: /opt/venv/bin/python\nworker_command: [sh, -c, 'echo 1', '']\n"
    )
    assert spec.timeout == timedelta(hours=1, minutes=30)
    assert spec.iteration_timeout == timedelta(milliseconds=500)
    assert spec.grace == timedelta(0)
    assert (spec.max_attempts, spec.seed, spec.priority) == (1, 7, -3)
    assert spec.labels == {"team": "research", "run.2/x": ""}
    assert spec.env_vars == {"TOKEN": "a=b", "_x1": ""}
    assert spec.python == "/opt/venv/bin/python"
    assert spec.worker_command == ("sh", "-c", "echo 1", "")


def test_each_field_says_what_it_is_for():
    assert [name for name, field in SessionSpec.model_fields.items() if not field.description] == []


def test_environment_variables_are_never_shown():
    spec = load("env_vars: {TOKEN: hunter2}\n")
    assert "hunter2" not in repr(spec)
    assert "hunter2" not in str(spec)
    (line,) = problems(SHORT + "env_vars: {TOKEN: [hunter2], ok: x}\n")
    assert "hunter2" not in line
    (line,) = problems(SHORT + "env_vars: {ORCH_TOKEN: hunter2}\n")
    assert line.startswith("s.yaml:4:12: env_vars.ORCH_TOKEN: must not start with ORCH_")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("field", "written", "said"),
    [
        ("session_id", "Demo", "must be 1 to 64 of a-z, 0-9, '.', '_' and '-'"),
        ("session_id", "a:b", "must be 1 to 64 of"),
        ("session_id", "a/b", "must be 1 to 64 of"),
        ("session_id", "'a*'", "must be 1 to 64 of"),
        ("session_id", '"a\\n"', "must be 1 to 64 of"),
        ("session_id", "-a", "must be 1 to 64 of"),
        ("session_id", "''", "must be 1 to 64 of"),
        ("session_id", "a" * 65, "must be 1 to 64 of"),
        ("session_id", "a..b", "must not hold '..'"),
        ("session_id", "2026", "must be a text (got 2026; put it in quotes)"),
        ("total_iterations", "0", "must be at least 1 (got 0)"),
        ("total_iterations", str(MAX_ITERATIONS + 1), "must be at most 1,000,000,000 (got 1000000001)"),
        ("total_iterations", "'6'", "must be a whole number (got '6'; write it without quotes)"),
        ("total_iterations", "6.0", "must be a whole number (got 6.0)"),
        ("workers", "true", "must be a whole number (got true)"),
        ("workers", "2.5", "must be a whole number (got 2.5)"),
        ("workers", str(MAX_WORKERS + 1), "must be at most 100,000 (got 100001)"),
        ("mode", "shadow", "mode shadow does not exist yet; use paper"),
        ("mode", "live", "mode live does not exist yet; use paper"),
        ("mode", "papr", "must be 'paper', 'shadow' or 'live' (got 'papr'); did you mean 'paper'?"),
        ("env", "a:b", "must be 1 to 64 of"),
        ("optimizer", "Grid", "must be the name of an optimizer"),
        ("config_path", "''", "must not be empty"),
        ("config_path", '"a\\tb"', "must not hold line breaks or other characters that cannot be printed"),
        ("config_path", "x" * 4097, "must have at most 4,096 characters"),
        ("base_output_csv", "' '", "must not be empty"),
        ("base_output_csv", "outputs/", "must end in the beginning of a file's name"),
        ("timeout", "0", "must be longer than 0 seconds (got 0)"),
        ("iteration_timeout", "soon", "is not a length of time: write seconds as a number, or a text such as 1h30m"),
        ("grace", "-1", "must be a length of time that is finite and not negative (got -1)"),
        ("grace", "", "must be a length of time: write seconds"),
        ("max_attempts", "0", "must be at least 1 (got 0)"),
        ("seed", "-1", "must be at least 0 (got -1)"),
        ("seed", str(MAX_SEED + 1), "must be at most 9,007,199,254,740,991"),
        ("priority", "high", "must be a whole number (got 'high')"),
        ("labels", "[a]", "must be a mapping (key: value) (got a list of 1)"),
        ("labels", json.dumps({f"l{n}": "" for n in range(33)}), "must have at most 32 entries (got 33)"),
        ("env_vars", json.dumps({f"l{n}": "" for n in range(257)}), "must have at most 256 entries (got 257)"),
        ("python", "''", "must not be empty"),
        ("worker_command", "./train.sh", "must be a list (got './train.sh')"),
        ("worker_command", "[]", "must be a list that starts with the program to run"),
        ("worker_command", "['', a]", "must be a list that starts with the program to run"),
    ],
)
def test_a_wrong_value_is_refused_in_a_plain_sentence(field: str, written: str, said: str):
    assert problem_of(field, written).startswith(f": {said}")


@pytest.mark.parametrize(
    ("field", "written", "said"),
    [
        ("labels", "{a b: c}", ".a b: must be 1 to 63 of letters"),
        ("labels", "{a: 3}", ".a: must be a text (got 3; put it in quotes)"),
        ("labels", '{a: "x\\ny"}', ".a: must be one line of at most 256 characters"),
        ("labels", "{a: " + "x" * 257 + "}", ".a: must be one line of at most 256 characters"),
        ("env_vars", "{a-b: c}", ".a-b: must be the name of an environment variable"),
        ("env_vars", "{1a: c}", ".1a: must be the name of an environment variable"),
        ("env_vars", "{orch_x: c}", ".orch_x: must not start with ORCH_"),
        ("env_vars", "{a: " + "x" * 131_072 + "}", ".a: must be at most 131,071 bytes"),
        ("worker_command", "[sh, 1]", ".1: must be a text (got 1; put it in quotes)"),
    ],
)
def test_a_wrong_entry_is_refused_where_it_stands(field: str, written: str, said: str):
    assert problem_of(field, written).startswith(said)


@pytest.mark.parametrize("key", ["executor", "resources", "objective"])
def test_a_field_that_does_not_work_yet_is_not_accepted(key: str):
    assert problems(f"{SHORT}{key}: x\n") == [f"s.yaml:4:1: {key}: is not supported yet; leave it out"]


def test_a_tuning_config_is_told_from_a_session_file():
    said = "s.yaml: is a tuning config: name the session file that has it as its config_path"
    assert problems("tuning:\n  search_space: {x: 1}\n") == [said]
    assert len(problems("tuning: {}\nworkers: 1\n")) == 3  # a mixture is told what is wrong with each key


def test_unknown_and_missing_keys_are_named_with_the_nearest_one():
    assert problems("session_id: a\ntotal_iteration: 6\nmodus: paper\n") == [
        "s.yaml:1:1: total_iterations: is required",
        "s.yaml:1:1: workers: is required",
        "s.yaml:2:1: total_iteration: unknown key (got 6); did you mean 'total_iterations'?",
        "s.yaml:3:1: modus: unknown key (got 'paper'); did you mean 'mode'?",
    ]


def test_the_bytes_of_a_file_are_checked_too():
    assert problems(b"session_id: \xff") == ["s.yaml:1:13: is not UTF-8 (byte 0xff); save the file as UTF-8"]


def test_a_session_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load().workers = 3  # type: ignore[misc]  # the point of the test


# --- a worker command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, MAX_WORKERS - 1, MAX_WORKERS])
def test_a_worker_command_has_a_total_of_one_for_each_worker(workers: int):
    text = f"session_id: a\nworkers: {workers}\nworker_command: [./train.sh]\n"
    assert load_session(text, "s.yaml").total_iterations == workers


def test_a_worker_command_needs_no_total():
    text = "session_id: a\nworkers: 3\nworker_command: [./train.sh]\n"
    assert load_session(text, "s.yaml").total_iterations == 3
    assert load_session(text + "total_iterations: 7\n", "s.yaml").total_iterations == 7


@pytest.mark.parametrize("workers", ["x", "0", "true", str(10**30)])
def test_wrong_workers_of_a_worker_command_are_the_one_problem(workers: str):
    (line,) = problems(f"session_id: a\nworkers: {workers}\nworker_command: [./train.sh]\n")
    assert line.startswith("s.yaml:2:10: workers: must be")


def test_without_a_worker_command_a_total_is_required():
    assert problems("session_id: a\nworkers: 3\nworker_command:\n") == ["s.yaml:1:1: total_iterations: is required"]


# --- overrides ----------------------------------------------------------------------------------------------------


def test_overrides_win_over_the_file():
    spec = load("labels: {team: a, x: b}\n", workers="3", labels__team="c", seed="5", timeout="1h30m", grace="2")
    assert (spec.workers, spec.seed) == (3, 5)
    assert spec.labels == {"team": "c", "x": "b"}
    assert (spec.timeout, spec.grace) == (timedelta(minutes=90), timedelta(seconds=2))


def test_overrides_can_give_what_the_file_does_not_have():
    spec = load_session("workers: 1", "s.yaml", {"session_id": "2026", "total_iterations": "4"})
    assert (spec.session_id, spec.total_iterations) == ("2026", 4)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("session_id", "2026", "2026"),
        ("session_id", "true", "true"),
        ("session_id", "'x1'", "x1"),
        ("optimizer", "grid", "grid"),
        ("mode", '"paper"', "paper"),
        ("config_path", "a: b.yaml", "a: b.yaml"),
        ("python", "~/py", "~/py"),
        ("timeout", "", None),
        ("seed", "null", None),
        ("labels", "{a: b}", {"a": "b"}),
        ("worker_command", "[echo, '1']", ("echo", "1")),
    ],
)
def test_text_is_taken_as_it_stands_and_the_rest_as_yaml(key: str, written: str, value: object):
    assert getattr(load_session(SHORT, "s.yaml", {key: written}), key) == value


def test_entries_of_labels_and_variables_are_text_and_their_names_may_hold_dots():
    spec = load_session(SHORT, "s.yaml", {"labels.a.b": "1", "env_vars.PORT": "8080", "env_vars.J": '{"a": 1}'})
    assert spec.labels == {"a.b": "1"}
    assert spec.env_vars == {"PORT": "8080", "J": '{"a": 1}'}


def test_all_problems_of_file_and_overrides_are_shown_at_once_each_with_its_origin():
    overrides = {
        "": "x",
        "a.": "x",
        "workers.b": "2",
        "timeout": "[1",
        "wrokers": "3",
        "labels": "{a: 1}",
        "seed": "-1",
        "mode": "live",
        "l\x1b": "x",
    }
    assert problems(f"{SHORT}priority: x\n", overrides) == [
        "--set : must be key=value or key.entry=value",
        "--set a.: must be key=value or key.entry=value",
        "--set workers.b: workers is no mapping (it is 2)",
        "--set timeout: this list or mapping is not closed with ']', or a ',' is missing in it",
        "--set mode: mode live does not exist yet; use paper (got 'live')",
        "--set seed: must be at least 0 (got -1)",
        "--set labels: a: must be a text (got 1; put it in quotes)",
        "--set wrokers: unknown key (got 3); did you mean 'workers'?",
        "--set l\\x1b: unknown key (got 'x'); the keys here are " + ", ".join(SessionSpec.model_fields),
        "s.yaml:4:11: priority: must be a whole number (got 'x')",
    ]


def test_an_argument_of_the_command_line_that_is_no_text_is_refused():
    assert problems(SHORT, {"env_vars.X": "\udcff"}) == [
        "--set env_vars.X: must not hold NUL or bytes that are no text"
    ]
    assert problems(SHORT, {"python": "\udcff"}) == [
        "--set python: must not hold line breaks or other characters that cannot be printed (got '\\udcff')"
    ]


def test_what_an_option_gave_is_wrong_at_that_option():
    by_option = {"workers": Given("0", "--workers"), "optimizer": Given("grid", "--optimizer")}
    assert problems(SHORT, by_option) == ["--workers: must be at least 1 (got 0)"]
    _, read = read_session(SHORT, "s.yaml", {**by_option, "workers": Given("2", "--workers")})
    assert str(read.problem(("optimizer",), "is none")) == "--optimizer: is none"
    _, read = read_session(f"{SHORT}optimizer: grid\n", "s.yaml")
    assert str(read.problem(("optimizer",), "is none")) == "s.yaml:4:12: optimizer: is none"


def test_a_wrong_override_is_refused_though_the_rest_is_right():
    assert problems(SHORT, {"timeout": "{"})[0].startswith("--set timeout: ")


# --- what follows from a session ------------------------------------------------------------------------------------

names = st.from_regex(r"[a-z0-9]([a-z0-9_-]){0,63}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
specs = st.builds(
    SessionSpec,
    session_id=names,
    total_iterations=st.integers(1, MAX_ITERATIONS),
    workers=st.integers(1, MAX_WORKERS),
    optimizer=st.none() | st.sampled_from(["grid", "random"]),
    timeout=st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(days=3650)),
    grace=st.timedeltas(timedelta(0), timedelta(days=3650)),
    seed=st.none() | st.integers(0, MAX_SEED),
    priority=st.integers(-5, 5),
    labels=st.dictionaries(names.filter(lambda name: len(name) < 64), texts, max_size=3),
    env_vars=st.dictionaries(st.from_regex(r"[A-Z]_[A-Z0-9]{0,9}", fullmatch=True), texts, max_size=3),
    worker_command=st.none() | st.lists(texts, max_size=3).map(lambda rest: ("program", *rest)),
)


@given(specs)
def test_a_session_survives_the_store_as_it_is(spec: SessionSpec):
    restored = restore_session(dump_session(spec))
    assert restored == spec
    assert session_hash(restored) == session_hash(spec)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the session in the store is no JSON"),
        ("{", "the session in the store is no JSON"),
        ("[1]", "the session in the store is no mapping"),
        ('{"session_id": "a"}', "another version of orch submitted it: the session in the store: "),
        (
            '{"session_id": "a", "newer": 1, "far": 2}',
            "session a was submitted by a newer orch: this one does not know far, newer",
        ),
    ],
)
def test_what_another_version_has_stored_is_refused_in_a_sentence(text: str, said: str):
    with pytest.raises(StateError, match=said):
        restore_session(text)


def test_the_same_content_has_the_same_hash_however_it_is_written():
    same = "workers: 2 # two\n'total_iterations': 0x6\nsession_id: a\nmode: paper\ngrace: 0.5m\nmax_attempts: 3\n"
    assert session_hash(load_session(same, "t.yaml")) == session_hash(load())


@given(specs, specs)
def test_different_content_has_different_hashes(one: SessionSpec, other: SessionSpec):
    assert (session_hash(one) == session_hash(other)) == (one == other)


def test_the_hash_and_the_derived_seed_are_the_same_on_every_machine():
    # What `printf … | sha256sum` prints, of the id and of the JSON of what is not a default.
    assert derived_seed("d28-demo-session") == 3_260_800_329
    assert session_hash(load()) == "5281d97c3ce863875f292e3ce371b6f92640713ae4728eb2196305bba7bb5d70"


@given(names, names)
def test_derived_seeds_are_valid_seeds_that_follow_from_the_id(one: str, other: str):
    assert 0 <= derived_seed(one) < 2**32
    assert derived_seed(one) == derived_seed(one)
    assert (derived_seed(one) == derived_seed(other)) == (one == other)


def test_the_optimizer_is_the_sessions_else_the_configs_else_bayesian():
    assert choose_optimizer(load("optimizer: grid\n"), "random") == "grid"
    assert choose_optimizer(load(), "random") == "random"
    assert choose_optimizer(load()) == "bayesian"


def test_the_seed_is_the_sessions_else_the_configs_else_derived():
    assert choose_seed(load("seed: 0\n"), 42) == 0
    assert choose_seed(load(), 0) == 0
    assert choose_seed(load()) == derived_seed("a")
