"""How a field of a session came from the command line: by `--set`, or by an option of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Given(str):
    """What an option of its own gives a field; what is plain text came by `--set`.

    Attributes:
        option: its name, e.g. `--workers`: where a problem with the field is.
    """

    __slots__ = ("option",)
    option: str

    def __new__(cls, text: str, option: str) -> Self:
        """Return the text, and how it was given."""
        made = super().__new__(cls, text)
        made.option = option
        return made
