"""The book: what a page of the site loads is what it uses.

The theme brings 1.5 MB of script and three fonts for some twenty icons, and the index of the search
on each page. Its style sheet can draw the icons from the fonts alone; so the script goes, the fonts
keep the icons that some page or script of the site names, and the index stays on the page that
searches. And it settles between light and dark in its last script, when the page is laid out in
neither, so that all of it is styled twice; here its first line settles it.
"""

import re
import unicodedata
from pathlib import Path

__all__ = ["lighten"]

_ICON_SCRIPT = re.compile(r"\s*<script[^>]*fontawesome\.js[^>]*></script>")
_SEARCH_SCRIPTS = re.compile(
    r'\s*<script [^>]*src="[^"]*(?:searchtools|language_data|searchindex|memnb-search)\.js[^"]*">'
    r"</script>"
)
_SCHEME = re.compile(
    r"document\.documentElement\.dataset\.mode = [^;]*;"
    r"\s*document\.documentElement\.dataset\.theme = [^;]*;"
)
_SETTLED = """{
      const mode = localStorage.getItem("mode") || "auto";
      const now = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      const theme = mode === "auto" ? now : mode;
      Object.assign(document.documentElement.dataset, { mode, theme });
    }"""
# A rule is sought from its beginning only: from each of its letters takes seconds
_ICON = re.compile(r'(?<![^{}])([^{}]*)\{content:"\\[0-9a-f]+"\}')
_CODE = re.compile(r'"\\([0-9a-f]{4})"')


def lighten(site: Path) -> None:
    """Take from a rendered site what its pages load and do not use.

    Parameters
    ----------
    site : Path
        Folder of the site; its pages, its style sheet and its fonts of icons are changed.
    """
    static = site / "_static"
    pages = [p for p in site.rglob("*.html") if "_static" not in p.relative_to(site).parts]
    scripts = [p for p in static.rglob("*.js") if p.name != "fontawesome.js"]
    used = set[str]()
    for path in [*pages, *scripts]:
        used |= set(re.findall(r"\bfa-[a-z0-9-]+", path.read_text()))
    sheet = static / "styles" / "pydata-sphinx-theme.css"

    def needed(rule: re.Match[str]) -> str:
        names = re.findall(r"\.(fa-[\w-]+)::?before", rule[1])
        return "" if names and not used & set(names) else rule[0]

    style = _ICON.sub(needed, sheet.read_text())
    sheet.write_text(re.sub(r'url\([^)]*\.woff2\) format\("woff2"\),', "", style))
    codes = set[int]()
    for path in static.rglob("*.css"):
        text = path.read_text()
        codes |= {int(code, 16) for code in _CODE.findall(text)}
        codes |= {ord(character) for character in text if unicodedata.category(character) == "Co"}
    for path in sorted((static / "vendor" / "fontawesome" / "webfonts").iterdir()):
        if path.suffix == ".ttf":
            _keep(path, codes)
        else:
            path.unlink()
    (static / "scripts" / "fontawesome.js").unlink()
    (static / "scripts" / "fontawesome.js.map").unlink(missing_ok=True)
    for path in pages:
        text = _ICON_SCRIPT.sub("", path.read_text())
        text = _SCHEME.sub(_SETTLED, text)
        if path.name != "search.html":
            text = _SEARCH_SCRIPTS.sub("", text)
        path.write_text(text)


def _keep(font: Path, codes: set[int]) -> None:
    """Keep the glyphs of some characters in a font."""
    from fontTools import subset  # slow to import, and for builds only
    from fontTools.ttLib import TTFont

    with TTFont(font) as whole:
        part = subset.Subsetter(subset.Options(notdef_outline=True))
        part.populate(unicodes=codes)
        part.subset(whole)
        whole.save(font)
