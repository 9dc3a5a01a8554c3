"""One HTML file that needs nothing else: styles, scripts and figures are in it, and it may fetch nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from tuning_worker.reporting.markup import Html, el
from tuning_worker.reporting.style import DARK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go


def make_page(title: str, body: Sequence[Html], figures: Mapping[str, go.Figure]) -> str:
    """Return the whole file.

    Args:
        title: of the window.
        body: what is shown.
        figures: by the name that their place has (`plot`).
    """
    scripts = [Html(get_plotlyjs()), Html(_resource("page.js"))] if figures else []
    data = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    head = el(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'),
        el("title", title),
        el("style", Html(_resource("page.css"))),
    )
    end = [
        el("script", _json(data), type="application/json", id="figures"),
        el("script", _json(DARK), type="application/json", id="dark"),
        *(el("script", script) for script in scripts),
    ]
    return f"<!doctype html>\n{el('html', head, el('body', *body, *end), lang='en')}\n"


def place_plot(name: str, about: str, least: int = 0) -> Html:
    """Return where a figure is drawn.

    Args:
        name: of the figure.
        about: what it shows, for who cannot see it.
        least: px; a narrower window scrolls.
    """
    place = el("div", class_="plot wide", data_plot=name, role="img", aria_label=about, style=f"--least: {least}px")
    return el("div", place, class_="track") if least else place


def _policy(scripts: Sequence[str]) -> str:
    """Allow these scripts and no other, and no address: were anything ever not escaped, it could do nothing.

    Parallel coordinates are drawn by a library that compiles its own code (`unsafe-eval`), and plotly styles elements.
    """
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    allowed = f"{hashes} 'unsafe-eval'" if scripts else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(document: object) -> Html:
    """Write JSON that cannot end the script element that it stands in."""
    return Html(json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _resource(name: str) -> str:
    return files("tuning_worker.reporting").joinpath(name).read_text(encoding="utf-8")
