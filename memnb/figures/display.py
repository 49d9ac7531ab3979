"""How a figure is shown: number, caption, alternative text, and one bundle for each place.

A figure is shown in three places that need different things. JupyterLab understands plotly's own
MIME type. The website must work without a server and without any request to the outside, so there
a figure is a ``<div>`` with its data as inert JSON, drawn by one local script
(``assets/memnb-plots.js``) when the reader scrolls to it. And an executed notebook that nbconvert
turns into one HTML file must carry all that it needs: each figure has the same ``<div>`` beside
plotly's MIME type, and :func:`memnb.figures.style.setup` stores the scripts once, compressed, see
:func:`offline_scripts`.
"""

import base64
import gzip
import json
import os
import re
from functools import cache
from html import escape as _escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from IPython.display import display

__all__ = [
    "Shown",
    "caption_html",
    "embed_json",
    "escape",
    "is_static",
    "live_script",
    "offline_scripts",
    "show",
]

ASSETS = Path(__file__).resolve().parents[2] / "assets"
LIVE = (  # modules, each after what it uses
    *("linalg", "sets", "events", "flows", "random", "stage", "plane", "basins"),
    *("chart", "chances", "counts", "spectrum", "two"),
    "live",
)
_NUMBER = re.compile(r"[1-9]\d*\.[1-9]\d*")


def is_static() -> bool:
    """True while the website is being built (environment variable ``MEMNB_STATIC=1``)."""
    return os.environ.get("MEMNB_STATIC") == "1"


def embed_json(data: Any) -> str:
    """JSON text that is safe inside a ``<script>`` element, from data or from JSON text."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def escape(text: str) -> str:
    """Text that is safe inside an HTML element or attribute."""
    return _escape(text)


@cache
def offline_scripts() -> str:
    """HTML with everything that draws this notebook's figures where there is no network.

    The plotting library is stored compressed, as inert text (about 0.6 MB), and unpacked by the
    reader's browser only if the page holds figures as ``<div>`` elements, which JupyterLab's does
    not. Outside a checkout, where the library is not beside the package, it is empty.

    Returns
    -------
    str
    """
    library = ASSETS / "plotly" / "plotly-cartesian.min.js"
    scripts = [ASSETS / f"memnb-{name}.js" for name in ("controls", "plots")]
    if not all(file.is_file() for file in (library, *scripts)):
        return ""
    packed = base64.b64encode(gzip.compress(library.read_bytes(), 9, mtime=0)).decode()
    code = "".join(script.read_text() for script in scripts).replace("</", "<\\/")
    return f'<script type="text/plain" id="memnb-plotly">{packed}</script>\n<script>{code}</script>'


@cache
def live_script() -> str:
    """The script of live explorers as one text that needs no other file.

    The modules of ``assets/live`` one after another, without the lines that import one from
    another, indentation, empty lines and comments. So the same text serves pages that are opened
    without a server, where browsers load no modules, and JupyterLab.

    Returns
    -------
    str
        It declares ``mount(box, spec)`` and ``start()``.
    """
    text = "".join((ASSETS / "live" / f"{name}.js").read_text() for name in LIVE)
    text = re.sub(r"^ *//.*\n| // .*$|^\n", "", text, flags=re.M)
    return re.sub(r"^import [^;]*;\n|^export |^ +", "", text, flags=re.M)


def check_number(number: str | None, caption: str) -> None:
    """Raise ``ValueError`` unless number and caption fit together."""
    if number is None:
        return
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise ValueError(f"number must be of the form '5.3', chapter and place, got {number!r}")
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"caption of figure {number} must not be empty, got {caption!r}")


def check_alt(alt: str) -> str:
    """Return the alternative text without spaces around it, or raise ``ValueError``."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must be a sentence that describes the figure, got {alt!r}")
    return alt.strip()


def caption_html(number: str | None, caption: str, tag: str = "figcaption") -> str:
    """The caption below a figure, or nothing for a figure without a number."""
    if number is None:
        return ""
    text = f"<strong>Figure {number}.</strong> {escape(caption.strip())}"
    return f'<{tag} class="memnb-caption">{text}</{tag}>'


def framed(content: str, number: str | None, caption: str) -> str:
    """HTML of a figure in a ``<figure>`` element with its caption and an anchor."""
    if number is None:
        return content
    anchor = f"figure-{number.replace('.', '-')}"
    return (
        f'<figure class="memnb-figure" id="{anchor}" style="margin: 0">{content}'
        f"{caption_html(number, caption)}</figure>"
    )


def plot_html(figure: go.Figure) -> str:
    """A figure as inert HTML: its data as JSON in a ``<div>`` that a script draws into."""
    alt = (figure.layout.meta or {}).get("alt", "")
    height = figure.layout.height or 420
    return (
        f'<div class="memnb-plot" role="img" aria-label="{escape(alt)}" '
        f'style="min-height:{height}px">'
        f'<script type="application/json">{embed_json(figure.to_json())}</script></div>'
    )


def mimebundles(figure: go.Figure, number: str | None, caption: str) -> list[dict[str, Any]]:
    """What a notebook stores for a figure: one bundle in the website's build, else up to two.

    In the build it is static HTML. Everywhere else it is plotly's MIME type, which JupyterLab
    prefers, with the same HTML for what does not know it; the caption, for which plotly's type has
    no place, follows as a bundle of its own.
    """
    alt = (figure.layout.meta or {}).get("alt", "")
    words = f"Figure {number}. {caption}"
    if is_static():
        text = alt if number is None else f"{words}\n{alt}"
        return [{"text/html": framed(plot_html(figure), number, caption), "text/plain": text}]
    data = json.loads(figure.to_json())
    plotly = "application/vnd.plotly.v1+json"
    bundles = [{plotly: data, "text/html": plot_html(figure), "text/plain": alt}]
    if number is not None:
        bundles.append({"text/html": caption_html(number, caption, "p"), "text/plain": words})
    return bundles


class Shown:
    """A figure that knows how to display itself in Lab, on the website and offline.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    number : str, optional
        As in :func:`show`.
    caption : str
        As in :func:`show`.
    """

    def __init__(self, figure: go.Figure, number: str | None = None, caption: str = "") -> None:
        self.figure, self.number, self.caption = figure, number, caption

    def _ipython_display_(self) -> None:
        for bundle in mimebundles(self.figure, self.number, self.caption):
            display(bundle, raw=True)


def show(figure: go.Figure, alt: str, *, number: str | None = None, caption: str = "") -> Shown:
    """Show a figure with its number, caption and alternative text; the last line of its cell.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    alt : str
        What a reader who cannot see the figure should know; not empty.
    number : str, optional
        Chapter and place in it, such as ``"5.3"``: how the text refers to the figure.
    caption : str
        What the figure shows, in a few words; not empty if there is a number.

    Returns
    -------
    Shown

    Raises
    ------
    TypeError
        If ``figure`` is not a plotly figure.
    ValueError
        If ``alt`` is empty, ``number`` has another form, or a numbered figure has no caption.
    """
    if not isinstance(figure, go.Figure):
        raise TypeError(f"figure must be a plotly Figure, got {type(figure).__name__}")
    alt = check_alt(alt)
    check_number(number, caption)
    figure.update_layout(meta={"alt": alt})
    return Shown(figure, number, caption.strip())
