"""Looks whether a file is there that a user named, whatever the name is.

What cannot be looked for (a folder that is closed to us, a name that is too long) is not there: `Path.exists` and its
like raise, and whoever opens the file says it in a sentence.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_there(path: Path) -> bool:
    """Tell whether something is there, links followed."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_file(path: Path) -> bool:
    """Tell whether a file is there, links followed."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there, links followed."""
    return os.path.isdir(path)  # noqa: PTH112 - see above
