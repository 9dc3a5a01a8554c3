"""What is in `deploy/` and the Dockerfile fits together, and fits the program."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import VERBS
from orchestrator.settings import DEFINITIONS, load_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
VARIABLES = {each.variable for each in DEFINITIONS} | {f"{each.variable}_FILE" for each in DEFINITIONS if each.secret}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


class Unit(configparser.RawConfigParser):
    """A unit file; a key that is there more than once has its values joined."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written, as the docs say
        joined: dict[str, dict[str, str]] = {}
        section: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("["):
                section = joined.setdefault(line.strip("[]"), {})
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                section[key] = f"{section[key]} {value}" if key in section else value
        self.read_dict(joined)

    @property
    def environment(self) -> dict[str, str]:
        return dict(each.split("=", 1) for each in shlex.split(self["Service"]["Environment"]))


@pytest.fixture(scope="module")
def unit() -> Unit:
    return Unit(read("deploy/systemd/orch.service"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(read("deploy/compose.yaml"))
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Its instructions, each with what follows it."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", read("Dockerfile"), flags=re.MULTILINE))
    return [(line.split(None, 1)[0], " ".join(line.split()[1:])) for line in text.splitlines() if line]


# --- systemd -------------------------------------------------------------------------------------------------------


def test_the_example_settings_load_with_and_without_what_is_commented_out(tmp_path: Path) -> None:
    text = read("deploy/systemd/orch.toml")
    every = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert every.count("\n# ") < text.count("\n# ")
    loaded = []
    for content in (text, every):
        (tmp_path / "orch.toml").write_text(content, encoding="utf-8")
        loaded.append(load_settings({"HOME": "/nowhere"}, Path("/"), system_file=tmp_path / "orch.toml"))
    assert {each.state_dir for each in loaded} == {Path("/var/lib/orch")}
    assert [each.redis_url for each in loaded] == [None, "unix:///run/redis/redis-server.sock"]


def test_the_unit_and_the_example_settings_name_the_same_places(unit: Unit) -> None:
    file = load_settings({"HOME": "/nowhere"}, Path("/"), system_file=SYSTEMD / "orch.toml")
    own = load_settings({"HOME": "/nowhere", **unit.environment}, Path("/"), system_file=Path("/nowhere"))
    assert (file.state_dir, file.output_roots) == (own.state_dir, own.output_roots)
    service = unit["Service"]
    assert str(own.state_dir) == f"/var/lib/{service['StateDirectory']}" == service["WorkingDirectory"]
    assert str(own.runtime_dir) == f"/run/{service['RuntimeDirectory']}"
    assert [f"-{root}" for root in own.output_roots] == service["ReadWritePaths"].split()
    assert unit.environment["NUMBA_CACHE_DIR"].startswith(f"/var/cache/{service['CacheDirectory']}/")


def test_the_unit_runs_a_verb_that_there_is_as_the_user_who_is_made(unit: Unit) -> None:
    program, verb = unit["Service"]["ExecStart"].split()
    assert (program, verb in VERBS) == ("/opt/orch/bin/orch", True)
    made = [line.split() for line in read("deploy/systemd/orch.sysusers.conf").splitlines() if line.startswith("u ")]
    assert [line[1] for line in made] == [unit["Service"]["User"]] == [unit["Service"]["Group"]]
    for line in read("deploy/systemd/orch.tmpfiles.conf").splitlines():
        if line.startswith("d "):
            assert line.split()[3:] == ["orch", "orch"]


def test_a_grace_of_the_default_length_fits_into_the_time_to_stop(unit: Unit) -> None:
    assert int(unit["Service"]["TimeoutStopSec"].removesuffix("s")) >= 2 * 30


# --- container -----------------------------------------------------------------------------------------------------


def test_every_variable_that_is_set_is_one_that_is_read(
    unit: Unit, compose: dict[str, Any], dockerfile: list[tuple[str, str]]
) -> None:
    of_the_image = {name for word, rest in dockerfile if word == "ENV" for name in re.findall(r"(\w+)=", rest)}
    given = {*unit.environment, *of_the_image, *compose["services"]["orch"]["environment"]}
    ours = {name for name in given if name.startswith("ORCH_")}
    assert ours
    assert ours <= VARIABLES


def test_the_image_runs_as_nobody_special_and_gets_its_signals(dockerfile: list[tuple[str, str]]) -> None:
    final = dockerfile[max(at for at, (word, _) in enumerate(dockerfile) if word == "FROM") :]
    said = dict(final)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])
    assert said["ENTRYPOINT"] == '["orch"]'  # no shell between: signals come to the daemon
    assert yaml.safe_load(said["CMD"]) == ["daemon"]
    assert said["STOPSIGNAL"] == "SIGTERM"
    check = yaml.safe_load(said["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["orch", "doctor"]
    assert set(VERBS) >= {"daemon", "doctor"}


def test_the_image_installs_nothing_that_is_not_locked(dockerfile: list[tuple[str, str]]) -> None:
    installs = [
        part
        for word, rest in dockerfile
        if word == "RUN"
        for part in rest.split("&&")
        if "bin/pip" in part or "pip --" in part
    ]
    assert len(installs) == 4
    for part in installs:
        assert "--require-hashes" in part or "--no-deps" in part


def test_what_the_image_is_built_from_is_let_through_and_nothing_else(dockerfile: list[tuple[str, str]]) -> None:
    copied = [
        source for word, rest in dockerfile if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]
    ]
    let_through = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert let_through == set(copied)
    for name in copied:
        assert (ROOT / name).exists()
    assert "*" in read(".dockerignore").splitlines()


def test_the_services_of_compose_find_each_other(compose: dict[str, Any]) -> None:
    orch, store = compose["services"]["orch"], compose["services"]["store"]
    assert (ROOT / "deploy" / orch["build"]).resolve() == ROOT
    assert orch["environment"]["ORCH_ALLOW_INSECURE_REDIS"] in compose["services"]
    assert set(orch["secrets"] + store["secrets"]) == set(compose["secrets"])
    assert orch["environment"]["ORCH_REDIS_URL_FILE"] == f"/run/secrets/{orch['secrets'][0]}"
    assert f"/run/secrets/{store['secrets'][0]}" in store["command"]
    assert compose["networks"][store["networks"][0]]["internal"]
    assert "ports" not in store
    named = {each.split(":")[0] for service in (orch, store) for each in service["volumes"] if each[0] not in "./$"}
    assert named == set(compose["volumes"])
    assert dict(zip(store["command"][2::2], store["command"][3::2], strict=True))["--appendonly"] == "yes"


def test_what_compose_asks_of_the_environment_is_in_the_example() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", read("deploy/compose.yaml")))
    assert asked == set(re.findall(r"^(\w+)=", read("deploy/.env.example"), re.MULTILINE))


def test_the_store_takes_the_options_that_compose_gives_it(compose: dict[str, Any], tmp_path: Path) -> None:
    """With a server of the same kind: the secret as its configuration file, and everything else as it stands."""
    from orchestrator.store.engine import find_engine  # noqa: PLC0415 - only here

    program, _ = find_engine(load_settings({"HOME": str(tmp_path)}, tmp_path), None)
    (tmp_path / "store.conf").write_text("requirepass of-a-test\n", encoding="utf-8")
    options = compose["services"]["store"]["command"][2:]
    socket = tmp_path / "s"
    own = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path), "--daemonize", "yes"]
    started = subprocess.run([program, tmp_path / "store.conf", *options, *own], capture_output=True, check=False)
    assert started.returncode == 0, started.stdout
    from redis import Redis  # noqa: PLC0415 - only here
    from redis.exceptions import AuthenticationError  # noqa: PLC0415 - only here

    with Redis(unix_socket_path=str(socket), password="of-a-test") as client:  # noqa: S106 - it lives for a moment
        while not socket.exists():
            os.sched_yield()
        assert client.config_get("appendonly", "save", "maxmemory-policy") == {
            "appendonly": "yes", "save": "", "maxmemory-policy": "noeviction",
        }  # fmt: skip
        with Redis(unix_socket_path=str(socket)) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        client.shutdown()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("hadolint", ["Dockerfile"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"]),
    ],
)
def test_its_linter_finds_nothing(tool: str, arguments: list[str]) -> None:
    program = Path(sys.executable).parent / tool
    linted = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr
