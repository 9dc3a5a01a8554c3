"""A session file as the verbs that take one read it: with what the command line and the settings say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.settings import load_settings
from orchestrator.submission import SessionFile, read_session_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.settings import Settings


def load(file: Path, given: Mapping[str, str]) -> tuple[SessionFile, Settings]:
    """Read a session file; return the settings that go with its env too.

    Its env is the command line's, else the file's, else the one that is set: there all other verbs look for it.

    Raises:
        SpecError: the file cannot be read, or something in it is wrong.
        SettingError: a setting cannot be used.
    """
    cwd = Path.cwd()
    settings = load_settings(os.environ, cwd)
    session = read_session_file(file, given)
    if "env" not in session.spec.model_fields_set and session.spec.env != settings.env:
        session = read_session_file(file, {**given, "env": settings.env})
    return session, load_settings(os.environ, cwd, {"env": session.spec.env})
