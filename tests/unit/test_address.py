from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from orchestrator.errors import SettingError
from orchestrator.settings import Settings, load_settings
from orchestrator.store.wire import Address, check_url

NOWHERE = Path("/nowhere")


def settings(**environ: str) -> Settings:
    return load_settings({"HOME": "/nowhere", **environ}, NOWHERE, system_file=NOWHERE / "orch.toml")


SECRETS = st.none() | st.text(st.characters(exclude_categories=["C"]), min_size=1)
URLS = st.one_of(
    st.builds(
        lambda scheme, user, word, host, port, db: (
            f"{scheme}://{_who(user, word)}{host}{port}" + ("" if db is None else f"/{db}")
        ),
        st.sampled_from(["redis", "rediss"]),
        SECRETS,
        SECRETS,
        st.sampled_from(["store", "10.0.0.1", "[::1]"]),
        st.sampled_from(["", ":7000"]),
        st.none() | st.integers(0, 15),
    ),
    st.builds(
        lambda word, path, db: f"unix://{_who(None, word)}/{quote(path)}?db={db}",
        SECRETS,
        st.text(st.characters(exclude_categories=["C"])),
        st.integers(0, 15),
    ),
)


def _who(user: str | None, password: str | None) -> str:
    who = quote(user or "", safe="") + ("" if password is None else f":{quote(password, safe='')}")
    return f"{who}@" if who else ""


@given(URLS)
def test_a_url_means_what_it_means_to_redis_py(url: str) -> None:
    theirs = parse_url(url)
    ours = Address.parse(url)
    assert settings(ORCH_REDIS_URL=url).redis_url == url
    assert ours.username == theirs.get("username")
    assert ours.password == theirs.get("password")
    assert ours.db == theirs.get("db", 0)
    assert ours.path == theirs.get("path")
    if ours.path is None:
        assert (ours.host, ours.port) == (theirs["host"], theirs.get("port", 6379))
    assert ours.tls == url.startswith("rediss:")


def test_name_and_password_can_be_options() -> None:
    address = Address.parse("unix:///run/redis.sock?username=me&password=hunter2")
    assert "hunter2" not in repr(address)
    assert address.greeting() == [("AUTH", "me", "hunter2")]
    assert Address.parse("redis://:hunter2@store/3").greeting() == [("AUTH", "hunter2"), ("SELECT", "3")]
    assert Address.parse("redis://store").greeting() == []


@pytest.mark.parametrize("url", ["http://store", "redis://store:hunter2", "redis://store/hunter2", "redis://[hunter2"])
def test_what_is_no_url_of_a_store_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="URL of a store") as caught:
        Address.parse(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "unix:///run/redis.sock",
        "redis://localhost",
        "redis://127.0.0.1:6380/2",
        "redis://[::1]",
        "rediss://:pw@store",
        "rediss://store?ssl_certfile=/me.pem",
        "redis://allowed",
        "redis://ALLOWED:7000",
    ],
)
def test_stores_that_may_be_used(url: str) -> None:
    check_url(settings(ORCH_REDIS_URL=url, ORCH_ALLOW_INSECURE_REDIS="other,allowed"))


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("redis://store", "a password and TLS (rediss://)"),
        ("redis://:hunter2@store", "TLS (rediss://)"),
        ("rediss://store", "a password"),
        ("redis://127.evil.example", "a password and TLS (rediss://)"),
        ("redis://10.1.2.3", "a password and TLS (rediss://)"),
    ],
)
def test_stores_that_are_refused_say_what_they_lack_and_what_to_do(url: str, missing: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_url(settings(ORCH_REDIS_URL=url, ORCH_ALLOW_INSECURE_REDIS="allowed"))
    message = str(caught.value)
    assert message.startswith(f"environment ORCH_REDIS_URL: redis_url: over the network it needs {missing}; ")
    assert "set ORCH_ALLOW_INSECURE_REDIS=" in message
    assert "hunter2" not in message
