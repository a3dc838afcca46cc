"""Draw what a browser shows of a page, light and dark: `python -m docs.page`."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from attention_surgeon.masks import causal_mask
from attention_surgeon.models import tokenize, trace_text
from attention_surgeon.viewer import view
from tests.viewer.browser import Shown, executable, running

IMAGES = Path(__file__).parent / "images"
TEXT = "The cat sat on the mat. The mat lay by the door."
_DOWN, _RIGHT = 8, 5
"""From the first cell to the one that is chosen: the second "mat" looks at the first."""

_COLOURS = 256


def draw() -> None:
    """Write `images/page-light.png` and `images/page-dark.png`; where there is no browser they stay as they are."""
    path = executable()
    if path is None:
        print("no browser was found: the pictures of the page stay as they are")
        return
    page = view(trace_text(tokenize(TEXT), mask=causal_mask), title=TEXT)
    with TemporaryDirectory() as folder, running(path) as browser:
        target = page.save(Path(folder) / "page.html")
        for theme in ("light", "dark"):
            shown = Shown(browser, target, color_scheme=theme)
            shown.stage.focus()
            for key in ("ArrowDown",) * _DOWN + ("ArrowRight",) * _RIGHT:
                shown.page.keyboard.press(key)
            shown.page.evaluate("document.activeElement.blur()")
            shown.settle()
            picture = Image.open(BytesIO(shown.page.screenshot())).convert("RGB")
            picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"page-{theme}.png", optimize=True)
            shown.close()


if __name__ == "__main__":
    draw()
