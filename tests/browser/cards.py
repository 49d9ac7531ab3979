"""Pictures for links to the pages: title and a figure, 1200 by 630 pixels, in assets/cards.

Run by hand after `make book` when a title or a figure has changed: `python tests/browser/cards.py`.
"""

import io
import shutil
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from memnb.book.site import served

ROOT = Path(__file__).resolve().parents[2]
SITE, CARDS = ROOT / "_build" / "site", ROOT / "assets" / "cards"
SIZE, EDGE, HEAD = (1200, 630), 40, 130
BOOK = "When diffusion models memorize"
FIRST = {  # where it is not the first plot of the chapter
    "01-score-flow": ".memnb-live canvas",
    "02-probability-flow": ".memnb-live-panels",
}


def card(title: str, below: str, picture: bytes) -> Image.Image:
    """A figure under a title and a smaller line."""
    page = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(page)
    draw.text((EDGE, 30), title, "#102040", ImageFont.load_default(size=52))
    draw.text((EDGE, 94), below, "#5a6472", ImageFont.load_default(size=26))
    figure = Image.open(io.BytesIO(picture)).convert("RGB")
    figure.thumbnail((SIZE[0] - 2 * EDGE, SIZE[1] - HEAD - EDGE))
    page.paste(
        figure, ((SIZE[0] - figure.width) // 2, HEAD + (SIZE[1] - HEAD - figure.height) // 2)
    )
    return page.quantize(64, dither=Image.Dither.NONE)


def main() -> None:
    """Draw a card for each chapter and the preface."""
    CARDS.mkdir(exist_ok=True)
    with served(SITE) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            view = browser.new_page(viewport={"width": 1600, "height": 900}, device_scale_factor=2)
            view.goto(f"{address}/notebooks/{path.stem}.html")
            plot = view.locator(FIRST.get(path.stem, ".memnb-plot")).first
            plot.scroll_into_view_if_needed()
            view.wait_for_timeout(3000)
            title = view.title().partition(" — ")[0]
            shot = plot.screenshot()
            card(title, BOOK, shot).save(CARDS / f"{path.stem}.png", optimize=True)
            if path.stem == "01-score-flow":
                card(BOOK, "an interactive book, tested", shot).save(
                    CARDS / "intro.png", optimize=True
                )
            view.close()
        browser.close()


if __name__ == "__main__":
    main()
