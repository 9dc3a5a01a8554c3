"""What a YAML scalar means: the core schema of YAML 1.2.2, section 10.3.

In YAML 1.1, which PyYAML's loaders follow, `no` is a boolean, `1e-3` a text and `1:30` ninety.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from orchestrator.domain.shown import is_text, shown

if TYPE_CHECKING:
    from yaml.events import ScalarEvent

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 400  # characters: more than the largest double has digits

_CORE = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    f"{_CORE}null": (type(None),),
    f"{_CORE}bool": (bool,),
    f"{_CORE}int": (int,),
    f"{_CORE}float": (float, int),
}


def resolve(event: ScalarEvent) -> Any:
    """Return a scalar's value by the core schema.

    Raises:
        ValueError: it has a tag we do not know or that it does not fit, or is beyond any number or character.
    """
    text, tag = _joined(str(event.value)), event.tag
    if tag in ("!", f"{_CORE}str") or (tag is None and not event.implicit[0]):
        return text
    value = _plain(text)
    if tag is None:
        return value
    if tag not in _TYPES:
        raise ValueError(f"the tag {shown(tag)} is not supported here")
    if type(value) not in _TYPES[tag]:
        raise ValueError(f"is no {tag.removeprefix(_CORE)}, as its tag says (got {shown(text)})")
    return _finite(text) if type(value) is int and tag == f"{_CORE}float" else value


def _joined(text: str) -> str:
    r"""Join surrogate pairs: JSON, which YAML 1.2 includes, writes `\ud83d\ude00` where PyYAML takes two characters."""
    if is_text(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if not is_text(joined):
        raise ValueError("holds a character that is none (NUL or half of a surrogate pair)")
    return joined


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    based = _BASED.fullmatch(text)
    if not based and not _FLOAT.fullmatch(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"is a number of more than {_LONGEST_NUMBER} characters")
    if based:
        return int(text, 0)
    return int(text) if _INT.fullmatch(text) else _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"is beyond the range of a number, about 1.8e308 (got {shown(text)})")
    return value
