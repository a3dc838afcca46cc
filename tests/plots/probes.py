"""Weights, tokens, and what a reader finds on a figure."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

WORDS = (
    "The cat sat on the mat while a remarkably patient dog watched , and nobody internationalization knew why".split()
)


def tokens(count: int) -> list[str]:
    return [WORDS[index % len(WORDS)] for index in range(count)]


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.softmax(2 * scores, dim=-1)


def shown(figure: Figure, index: int = 0) -> np.ndarray:
    """The numbers behind the colours of one map."""
    return np.asarray(figure.axes[index].images[0].get_array())


def tick_texts(figure: Figure, axis: str, index: int = 0) -> list[str]:
    labels = {"x": figure.axes[index].get_xticklabels, "y": figure.axes[index].get_yticklabels}[axis]()
    return [label.get_text() for label in labels]


def cell_numbers(figure: Figure, index: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[index].texts]


def pixels(figure: Figure, dpi: float = 100) -> np.ndarray:
    """The picture, rows from the top, as numbers from 0 to 255."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def placed(figure: Figure) -> Figure:
    """The figure with every text where drawing puts it."""
    figure.draw_without_rendering()
    return figure


def written(figure: Figure) -> list[Text]:
    """Every piece of text that can be seen; `placed` first."""
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def corners(text: Text) -> np.ndarray:
    """The four corners of a piece of text in pixels, turned as the text is turned."""
    box = text.get_window_extent()
    angle = text.get_rotation()
    text.set_rotation(0)
    flat = text.get_window_extent()
    text.set_rotation(angle)
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [flat.width / 2, flat.height / 2]
    turn = np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    return half @ turn.T + [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]


def overlapping(figure: Figure, slack: float = 0.5) -> list[tuple[str, str]]:
    """Pairs of texts that touch, `slack` pixels of shared ground forgiven."""
    texts = written(figure)
    shapes = [corners(text) for text in texts]
    low = np.stack([shape.min(axis=0) for shape in shapes]) + slack
    high = np.stack([shape.max(axis=0) for shape in shapes]) - slack
    near = (low[:, None] < high[None]).all(axis=-1) & (low[None] < high[:, None]).all(axis=-1)
    pairs = [(a, b) for a, b in np.argwhere(near) if a < b]
    return [(texts[a].get_text(), texts[b].get_text()) for a, b in pairs if _touch(shapes[a], shapes[b], slack)]


def _touch(first: np.ndarray, second: np.ndarray, slack: float) -> bool:
    """Whether two rectangles share more than `slack` pixels, by looking along each of their sides."""
    for shape in (first, second):
        for side in (shape[1] - shape[0], shape[3] - shape[0]):
            along = side / np.linalg.norm(side)
            a, b = first @ along, second @ along
            if a.max() - slack < b.min() or b.max() - slack < a.min():
                return False
    return True


def outside(figure: Figure) -> list[str]:
    """Texts that reach over the edge of the figure."""
    width, height = figure.bbox.width, figure.bbox.height
    boxes = {text.get_text(): text.get_window_extent() for text in written(figure)}
    return [name for name, box in boxes.items() if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]


def on_a_map(figure: Figure) -> list[str]:
    """Labels, names and titles that reach into a map, where only the numbers belong."""
    maps = [axes.get_window_extent() for axes in figure.axes if axes.images]
    numbers = {id(text) for axes in figure.axes for text in axes.texts}
    texts = [text for text in written(figure) if id(text) not in numbers]
    return [text.get_text() for text in texts if any(_inside(text, box) for box in maps)]


def _inside(text: Text, box) -> bool:
    grid = np.array([box.corners()[index] for index in (0, 2, 3, 1)])
    return _touch(corners(text), grid, 1.0)
