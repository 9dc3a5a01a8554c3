"""YAML documents: what they mean, where their values stand, and what is said when they are wrong."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from orchestrator.domain import yaml_core
from orchestrator.domain.documents import Document, decode_document, parse_document, parse_value, validate
from orchestrator.domain.yaml_core import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from orchestrator.errors import SpecError


def messages(text: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        decode_document(text, "f.yaml") if isinstance(text, bytes) else parse_document(text, "f.yaml")
    return str(caught.value).splitlines()


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None),
        ("true", True), ("False", False), ("TRUE", True),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("tRUE", "tRUE"),
        ("1", 1), ("-1", -1), ("+1", 1), ("010", 10), ("0o17", 15), ("0xff", 255), ("1_000", "1_000"),
        ("1.5", 1.5), ("1e-3", 0.001), ("1E3", 1000.0), (".5", 0.5), ("1.", 1.0), ("-.5e+1", -5.0),
        (".inf", math.inf), ("-.INF", -math.inf),
        ("1:30", "1:30"), ("2026-01-02", "2026-01-02"), ("1.2.3", "1.2.3"), ("0b1", "0b1"), ("e5", "e5"),
        ("'1'", "1"), ('"1"', "1"), ("! 1", "1"), ("!!str 1", "1"), ("!!int 1", 1), ("!!float 1", 1.0),
        ("!!bool true", True), ("!!null ''", None),
        ("[1, a]", [1, "a"]), ("!!seq [1]", [1]), ("{a: {b: 1}}", {"a": {"b": 1}}), ("!!map {a: 1}", {"a": 1}),
        ("{'<<': 1}", {"<<": 1}), ("|\n  two\n  lines", "two\nlines"), (r'"\ud83d\ude00"', "😀"), ("값", "값"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema_of_yaml_1_2(written: str, value: object):
    found = parse_document(f"key: {written}", "f.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float():
    assert math.isnan(parse_document("key: .nan", "f.yaml").data["key"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<.- 1", max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text("abc", min_size=1), json_values, min_size=1))
def test_json_is_yaml(data: dict[str, Any]):
    text = json.dumps(data)
    assert parse_document(text, "f.json").data == data


@given((st.text() | st.text("ab:-[]{}&*!|>'\"\\%@`#,?\t\n 01.~<", max_size=40)).map("a: {}".format))
def test_any_text_is_a_document_or_a_spec_error_with_a_sentence(text: str):
    with contextlib.suppress(SpecError):
        assert isinstance(parse_document(text, "f.yaml").data, dict)
        return
    assert all(line.isprintable() for line in messages(text))


@given(st.binary().map(b"a: ".__add__))
def test_any_bytes_are_a_document_or_a_spec_error(raw: bytes):
    with contextlib.suppress(SpecError):
        assert isinstance(decode_document(raw, "f.yaml").data, dict)
        return
    assert all(line.isprintable() for line in messages(raw))


# --- places -------------------------------------------------------------------------------------------------------


def test_values_and_keys_know_their_line_and_column():
    document = parse_document("a: 1\nb:\n  - x\n  - {c: 2}\n", "f.yaml")
    assert document.locate(()) == (1, 1)
    assert document.locate(("a",)) == (1, 4)
    assert document.locate(("a",), at_key=True) == (1, 1)
    assert document.locate(("b", 1, "c")) == (4, 9)
    assert document.locate(("b", 1, "c"), at_key=True) == (4, 6)
    assert document.locate(("b", 2)) is None


def test_what_came_through_an_alias_is_placed_where_it_is_written():
    document = parse_document("a: &x {b: 1}\nc: *x\nd: [*x]\n", "f.yaml")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}]}
    assert document.locate(("c", "b")) == document.locate(("d", 0, "b")) == document.locate(("a", "b")) == (1, 11)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_all_problems_of_a_file_are_shown_at_once():
    text = "a: 1\na: 2\n1: 3\nb: {c: 1, c: 2}\n? [x]\n: 3\nd: *nothing\ne: !!set {}\nf: !x 1\n<<: {a: 1}\n"
    assert messages(text) == [
        "f.yaml:2:1: a: the key is given twice (first in line 1); keep one",
        'f.yaml:3:1: a key must be a text; put it in quotes: "1"',
        "f.yaml:4:11: b.c: the key is given twice (first in line 4); keep one",
        "f.yaml:5:3: a key must be a plain text, not an alias, a list or a mapping",
        "f.yaml:7:4: d: the alias *nothing has no anchor before it; a text that starts with * needs quotes",
        "f.yaml:8:4: e: the tag 'tag:yaml.org,2002:set' is not supported here",
        "f.yaml:9:4: f: the tag '!x' is not supported here",
        "f.yaml:10:1: merge keys (<<) are not part of YAML 1.2; write the keys out",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: is empty; it must hold keys and values"),
        ("# only a comment\n", "f.yaml: is empty; it must hold keys and values"),
        ("null", "f.yaml: is empty; it must hold keys and values"),
        ("- 1\n- 2", "f.yaml:1:1: must hold keys and values, but holds a list of 2"),
        ("just words", "f.yaml:1:1: must hold keys and values, but holds 'just words'"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document starts here ('---'); one file is one document"),
        ("a: &x [*x]", "f.yaml:1:8: a.0: the alias *x stands inside what it stands for"),
        ("a: &x 1\nb: &x 2", "f.yaml:2:4: b: the anchor &x is given twice"),
        ("a: 1e999", "f.yaml:1:4: a: is beyond the range of a number, about 1.8e308 (got '1e999')"),
        ("a: !!float 1" + "0" * 350, "f.yaml:1:4: a: is beyond the range of a number, about 1.8e308 "
         "(got '1" + "0" * 78 + "…)"),
        ("a: " + "9" * 5000, "f.yaml:1:4: a: is a number of more than 400 characters"),
        ("a: 0x" + "f" * 5000, "f.yaml:1:4: a: is a number of more than 400 characters"),
        ("a: !!int x", "f.yaml:1:4: a: is no int, as its tag says (got 'x')"),
        ("a: !!python/object/apply:os.system [ls]",
         "f.yaml:1:4: a: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not supported here"),
        (r'a: "\ud800"', "f.yaml:1:4: a: holds a character that is none (NUL or half of a surrogate pair)"),
        (r'a: "x\0"', "f.yaml:1:4: a: holds a character that is none (NUL or half of a surrogate pair)"),
        ("*x : 1", "f.yaml:1:1: a key must be a plain text, not an alias, a list or a mapping"),
    ],
)  # fmt: skip
def test_what_yaml_allows_and_we_do_not(text: str, message: str):
    assert messages(text)[0] == message


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a:\n\tb: 1", "2:1", "a tab stands where YAML takes only spaces"),
        ("a: @x", "1:4", "a value cannot start with '@'; put the value in quotes"),
        ("a: b: c", "1:5", "put a value that holds ': ' in quotes"),
        ("a: 1\nworkers 2\nb: 3", "2:1", "this line is no 'key: value'"),
        (r'a: "C:\dir"', "1:8", r"\d means nothing in double quotes; use single quotes, or write \\d"),
        ("a: 'x\nb: 1", "1:4", "this quote is never closed"),
        ("a: [1, 2\nb: 3", "1:4", "not closed with ']', or a ',' is missing"),
        ("a: {x: 1", "1:4", "not closed with '}', or a ',' is missing"),
        ('a: "x" y', "1:8", "put the whole value in one pair of quotes"),
        ("a:\n  b: 1\n c: 2", "3:2", "the indentation of this line fits none of the lines above it"),
        ("a: ]", "1:4", "a value cannot start with ']'"),
        ("a: & x", "1:4", "'&' and '*' start a YAML anchor or alias; put the value in quotes"),
        ("a: !x!y 1", "1:4", "'!' starts a YAML tag"),
        ("%YAML 2.0\n---\na: 1", "1:1", "is not YAML: found incompatible YAML document"),
        ("a: 1\nb: \x01", "2:4", "the character U+0001 is not allowed in YAML"),
        ("a: 1\n\x01", "2:1", "the character U+0001 is not allowed in YAML"),
        ("\x01", "1:1", "the character U+0001 is not allowed in YAML"),
    ],
)
def test_a_syntax_error_says_where_and_what_to_change(text: str, place: str, hint: str):
    (message,) = messages(text)
    assert message.startswith(f"f.yaml:{place}: ")
    assert hint in message


def test_an_escape_beyond_any_character_is_refused():
    assert messages(r'a: "\U99999999"') == [r"f.yaml: is not YAML: an escape (\U…) or a number in it is out of range"]


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, "- " * 5000, "a: " + "{a: " * 5000])
def test_deep_nesting_is_refused_before_the_stack_is(text: str):
    (message,) = messages(text)
    assert message.endswith(f"is nested more than {MAX_DEPTH} levels deep")


def test_aliases_that_nest_too_deep_are_refused():
    chain = "".join(f"a{n}: &a{n} [[[[[[[*a{n - 1}]]]]]]]\n" for n in range(1, 9))
    assert messages("a0: &a0 1\n" + chain)[0].endswith(f"is nested more than {MAX_DEPTH} levels deep")


def test_an_alias_bomb_is_refused_before_it_expands():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert f"holds more than {MAX_VALUES:,} values (an alias counts each time it is used)" in messages(bomb)[0]


def test_a_problem_that_aliases_repeat_is_shown_once():
    assert len(messages("a: &x {1: 2}\nb: *x\nc: *x\n")) == 1


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(yaml_core, "MAX_VALUES", 1000)
    assert "holds more than 1,000 values" in messages("a: [" + "1," * 2002 + "]")[0]


def test_a_file_that_is_too_large_is_refused_as_text_and_as_bytes():
    text = "a: 1 #" + "x" * MAX_BYTES
    assert messages(text) == messages(text.encode()) == ["f.yaml: is larger than 1,048,576 bytes"]


def test_bytes_must_be_utf_8_and_may_have_a_byte_order_mark():
    assert decode_document(b"\xef\xbb\xbfa: \xea\xb0\x92", "f.yaml").data == {"a": "값"}
    bad = "is not UTF-8 (byte 0xff); save the file as UTF-8"
    assert messages(b"\xef\xbb\xbfa: 1\nb: \xff") == [f"f.yaml:2:4: {bad}"]
    assert messages("a: 1".encode("utf-16-le").join([b"\xff\xfe", b""])) == [f"f.yaml:1:1: {bad}"]


def test_a_lone_value_names_its_source_and_no_line():
    assert parse_value("{a: [1, 2]}", "--set x") == {"a": [1, 2]}
    assert parse_value("", "--set x") is None
    with pytest.raises(SpecError) as caught:
        parse_value("[1", "--set x")
    assert str(caught.value).startswith("--set x: this list or mapping is not closed")


# --- models -------------------------------------------------------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Circle(Strict):
    kind: Literal["circle"]
    radius: float = Field(gt=0, allow_inf_nan=False)


class Square(Strict):
    kind: Literal["square"]
    side: int = Field(multiple_of=2, lt=100)
    corner: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 0.0)


class Secrets(Strict):
    planned_keys: ClassVar[frozenset[str]] = frozenset({"vault"})
    token: str = ""


class Model(Strict):
    shape: Annotated[Circle | Square, Field(discriminator="kind")] = Circle(kind="circle", radius=1)
    shapes: dict[str, Annotated[Circle | Square, Field(discriminator="kind")]] = {}
    either: Circle | Square | None = None
    name: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    code: Annotated[str, Field(pattern="^a")] = "a"
    ratio: float = Field(default=0.5, le=1)
    flag: bool = False
    items: list[int | float | str] = Field(default=[], min_length=1, max_length=2)
    words: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("a",)
    counts: dict[Annotated[str, Field(max_length=3)], int] = {}
    level: Literal["low", "high"] = "low"
    aliased: int = Field(default=0, alias="other-name")
    secrets: Secrets = Field(default=Secrets(), repr=False)
    free: Any = None
    checked: int = 0

    @field_validator("checked")
    @classmethod
    def _never_seven(cls, value: int) -> int:
        if value == 7:
            raise ValueError("must not be the number seven")
        if value == 8:
            raise PydanticCustomError("eight", "eight is not for us")
        return value


KEYS = "shape, shapes, either, name, code, ratio, flag, items, words, counts, level, other-name, secrets, free, checked"


def complaints(text: str, *at: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        validate(parse_document(text, "f.yaml"), Model, at=at)
    return str(caught.value).splitlines()


def test_a_document_becomes_a_model():
    model = validate(
        parse_document("name: abc\nchecked: 3\nshape: {kind: square, side: 4, corner: [1, 2]}", "f.yaml"), Model
    )
    assert model.name == "abc"
    assert model.shape == Square(kind="square", side=4, corner=(1.0, 2.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nane: abc", "1:1: nane: unknown key (got 'abc'); did you mean 'name'?"),
        ("Other_Name: 1", "1:1: Other_Name: unknown key (got 1); did you mean 'other-name'?"),
        ("zzz: {a: 1}", f"1:1: zzz: unknown key (got a mapping); the keys here are {KEYS}"),
        ('"e\\e[31m": 1', "1:1: e\\x1b[31m: unknown key"),
        ("name: 5", "1:7: name: must be a text (got 5; put it in quotes)"),
        ("name:", "1:6: name: must be a text (got nothing)"),
        ("name: a", "1:7: name: must have at least 2 characters (got 'a')"),
        ("name: abcde", "1:7: name: must have at most 4 characters (got 'abcde')"),
        ("name: [a]", "1:7: name: must be a text (got a list of 1)"),
        ("code: b", "1:7: code: must match the pattern ^a (got 'b')"),
        ("checked: '2'", "1:10: checked: must be a whole number (got '2'; write it without quotes)"),
        ("checked: 1_000", "1:10: checked: must be a whole number (got '1_000'; write it without '_')"),
        ("checked: true", "1:10: checked: must be a whole number (got true)"),
        ("checked: 2.5", "1:10: checked: must be a whole number (got 2.5)"),
        ("checked: abc", "1:10: checked: must be a whole number (got 'abc')"),
        ("checked: 7", "1:10: checked: must not be the number seven (got 7)"),
        ("checked: 8", "1:10: checked: eight is not for us (got 8)"),
        ("ratio: 1.5", "1:8: ratio: must be at most 1.0 (got 1.5)"),
        ("ratio: x", "1:8: ratio: must be a number (got 'x')"),
        ("flag: yes", "1:7: flag: must be true or false (got 'yes')"),
        ("counts: [1]", "1:9: counts: must be a mapping (key: value) (got a list of 1)"),
        ("counts:\n  long key: 1", "2:3: counts.long key: must have at most 3 characters (got 'long key')"),
        ("items: 3", "1:8: items: must be a list (got 3)"),
        ("items: []", "1:8: items: must have at least 1 entry (got 0)"),
        ("items: [1, 2, 3]", "1:8: items: must have at most 2 entries (got 3)"),
        ("items: [1, [2]]", "1:12: items.1: must be a whole number, a number or a text (got a list of 1)"),
        ("items: [[2]]", "1:9: items.0: must be a whole number, a number or a text (got a list of 1)"),
        ("level: hihg", "1:8: level: must be 'low' or 'high' (got 'hihg'); did you mean 'high'?"),
        ("level: 3", "1:8: level: must be 'low' or 'high' (got 3)"),
        ("shape: 3", "1:8: shape: must be a mapping (key: value) (got 3)"),
        ("shape: {radius: 1}", "1:8: shape.kind: is required: circle or square"),
        ("shape: {kind: sqare}", "1:15: shape.kind: must be circle or square (got 'sqare'); did you mean 'square'?"),
        ("shape: {kind: 3}", "1:15: shape.kind: must be circle or square (got 3)"),
        ("shape: {kind: circle}", "1:8: shape.radius: is required"),
        ("shape: {kind: circle, radius: 0}", "1:31: shape.radius: must be more than 0.0 (got 0)"),
        ("shape: {kind: circle, radius: .nan}", "1:31: shape.radius: must be a finite number (got nan)"),
        ("shape: {kind: square, side: 3}", "1:29: shape.side: must be a multiple of 2 (got 3)"),
        ("shape: {kind: square, side: 100}", "1:29: shape.side: must be less than 100 (got 100)"),
        ("shape: {kind: square, side: 2, sid: 3}", "1:32: shape.sid: unknown key (got 3); did you mean 'side'?"),
        ("shape: {kind: square, side: 2, corner: [1]}", "1:40: shape.corner: must have at least 2 entries"),
        ("shape: {kind: square, side: 2, corner: [1, a]}", "1:44: shape.corner.1: must be a number (got 'a')"),
        ("shapes: {x: {kind: circle, radius: a}}", "1:36: shapes.x.radius: must be a number (got 'a')"),
        ("shapes: {circle: {kind: circle, radios: 1, radius: 1}}",
         "1:33: shapes.circle.radios: unknown key (got 1); did you mean 'radius'?"),
        ("either: {kind: square, side: 2, sides: 1}", "1:33: either.sides: unknown key (got 1); did you mean 'side'?"),
        ("secrets: {token: 5}", "1:18: secrets.token: must be a text (put it in quotes)"),
        ("secrets: {token: []}", "1:18: secrets.token: must be a text"),
        ("secrets: {tokn: abc}", "1:11: secrets.tokn: unknown key; did you mean 'token'?"),
        ("secret: abc", "1:1: secret: unknown key; did you mean 'secrets'?"),
        ("secrets: {vault: 1}", "1:11: secrets.vault: is not supported yet; leave it out"),
    ],
)  # fmt: skip
def test_each_problem_names_place_value_and_what_was_meant(text: str, message: str):
    assert any(line.startswith(f"f.yaml:{message}") for line in complaints(text)), complaints(text)


def test_all_problems_of_a_model_are_shown_at_once_in_the_order_of_the_file():
    assert complaints("level: x\nname: 1\nnamee: 1\nratio: 2") == [
        "f.yaml:1:8: level: must be 'low' or 'high' (got 'x')",
        "f.yaml:2:7: name: must be a text (got 1; put it in quotes)",
        "f.yaml:3:1: namee: unknown key (got 1); did you mean 'name'?",
        "f.yaml:4:8: ratio: must be at most 1.0 (got 2)",
    ]


def test_a_list_is_not_called_short_because_its_entries_are_wrong():
    assert complaints("words: [1]") == ["f.yaml:1:9: words.0: must be a text (got 1; put it in quotes)"]
    assert complaints("words: []") == ["f.yaml:1:8: words: must have at least 1 entry (got 0)"]


def test_a_long_value_is_cut_and_what_a_terminal_would_obey_is_escaped():
    (line,) = complaints('level: "\\e[31m' + "x" * 500 + '"')
    assert r"\x1b[31m" in line
    assert "\x1b" not in line
    assert len(line) < 200


def test_a_part_of_a_document_is_checked_under_its_key():
    text = "tuning:\n  model: {nane: x}\n"
    assert validate(parse_document("tuning: {name: abc}", "f.yaml"), Model, at=("tuning",)).name == "abc"
    assert complaints(text, "tuning", "model") == [
        "f.yaml:2:11: tuning.model.nane: unknown key (got 'x'); did you mean 'name'?"
    ]
    assert complaints("tuning: 3", "tuning") == ["f.yaml:1:9: tuning: must be a mapping (key: value) (got 3)"]
    assert complaints("tunning: {}", "tuning") == ["f.yaml:1:1: tuning: is required; is it 'tunning' that was meant?"]
    assert complaints("x: 3", "tuning") == ["f.yaml:1:1: tuning: is required"]
    assert complaints("x: 3", "x", "y") == ["f.yaml:1:4: x.y: is required"]


def test_an_unknown_key_where_the_model_cannot_say_which_there_are():
    @with_config(ConfigDict(extra="forbid"))
    class Entry(TypedDict):
        x: int

    class Loose(Strict):
        entry: Entry
        sets: Annotated[set[int], Field(strict=False)] = set()

    with pytest.raises(SpecError) as caught:
        validate(parse_document("entry: {x: 1, y: 2}\nsets: [a]", "f.yaml"), Loose)
    assert str(caught.value).splitlines() == [
        "f.yaml:1:15: entry.y: unknown key (got 2); the keys here are others",
        "f.yaml:2:8: sets.0: must be a whole number (got 'a')",
    ]


def test_validators_see_the_context():
    class Contextual(Strict):
        x: int

        @field_validator("x")
        @classmethod
        def _limit(cls, value: int, info: Any) -> int:
            return value + int(info.context["add"])

    assert validate(parse_document("x: 1", "f.yaml"), Contextual, context={"add": 2}).x == 3


def test_a_value_from_elsewhere_names_its_origin_instead_of_a_line():
    document = parse_document("name: abc\nsecrets:\n", "f.yaml")
    changed = document.with_value(("secrets", "token"), 3, "--set secrets.token").with_value(
        ("counts",), {"a": "x"}, "--set counts"
    )
    with pytest.raises(SpecError) as caught:
        validate(changed, Model)
    assert str(caught.value).splitlines() == [
        "--set counts: a: must be a whole number (got 'x')",
        "--set secrets.token: must be a text (put it in quotes)",
    ]
    assert document.data == {"name": "abc", "secrets": None}


def test_a_value_cannot_be_set_inside_what_is_no_mapping():
    with pytest.raises(SpecError) as caught:
        Document("f.yaml", {"name": "abc"}).with_value(("name", "x"), 1, "--set name.x")
    assert str(caught.value) == "--set name.x: name is no mapping (it is 'abc')"


def test_a_problem_of_a_document_without_places_names_the_file():
    with pytest.raises(SpecError) as caught:
        validate(Document("store", {"name": 1}), Model)
    assert str(caught.value) == "store: name: must be a text (got 1; put it in quotes)"
