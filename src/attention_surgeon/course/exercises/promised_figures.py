"""What the text of a plot promises beside its numbers: titles, numbers of heads, colours, empty axes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.maps import TOKENS, check_maps, drawn, sample_weights, seen_maps
from attention_surgeon.course.exercises.promise import Promise


def with_titles(asked: str) -> Promise:
    """Promise the number of the head above each map."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        maps = seen_maps(drawn(target, sample_weights(4), list(TOKENS), 4))
        for head, seen in enumerate(maps):
            numbers_in = "".join(letter if letter.isdigit() else " " for letter in seen.title).split()
            if str(head) not in numbers_in and str(head + 1) not in numbers_in:
                raise ExplainedError(
                    "heads_not_numbered", f"Above map {head} stands {seen.title or 'nothing'!r}, not its number.",
                    question="Which head is this?", pointer="Give every map its number as a title.",
                    fix='axes.set_title(f"head {head}")',
                )  # fmt: skip

    return Promise(asked, keep)


def without_empty_axes(asked: str) -> Promise:
    """Promise that axes which hold no map are not seen."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        figure = drawn(target, sample_weights(4), list(TOKENS), 4)
        bars = {id(image.colorbar.ax) for axes in figure.axes for image in axes.images if image.colorbar is not None}
        empty = [axes for axes in figure.axes if axes.axison and axes.get_visible() and not _is_drawn_on(axes)]
        if [axes for axes in empty if id(axes) not in bars]:
            raise ExplainedError(
                "empty_axes_seen", "An empty pair of axes is left in the grid of four heads.",
                question="What should a reader think of a map without numbers?",
                pointer="Switch off the axes that stay empty.", fix="axes.set_axis_off()",
            )  # fmt: skip

    return Promise(asked, keep)


def _is_drawn_on(axes: Any) -> bool:
    return bool(axes.images or axes.collections or axes.lines or axes.patches)


def full_range(asked: str, arguments: Callable[[], tuple[Any, ...]]) -> Promise:
    """Promise colours from 0 to 1, whatever the weights are."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        limits = seen_maps(drawn(target, *arguments()))[0].limits
        if not np.allclose(limits, (0.0, 1.0), atol=1e-6):
            raise ExplainedError(
                "colours_not_to_one", f"The colours go from {limits[0]:.3g} to {limits[1]:.3g}, expected 0 to 1.",
                question="Which colour should a weight of 1 have, in every map that you will ever draw?",
                pointer="Say so with vmin and vmax.", fix="axes.imshow(weights, vmin=0, vmax=1)",
            )  # fmt: skip

    return Promise(asked, keep)


def with_default_title(asked: str) -> Promise:
    """Promise a title where none is given."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        maps = seen_maps(drawn(target, sample_weights(), list(TOKENS)))
        if not maps or maps[0].title != "Attention Weights":
            raise ExplainedError(
                "default_title_missing", "Without a title the figure should say 'Attention Weights'.",
                question="What does the first line of the function say about `title`?",
                pointer="Keep the default as it was given.", fix='title="Attention Weights"',
            )  # fmt: skip

    return Promise(asked, keep)


def heads_with_gradient(asked: str) -> Promise:
    """Promise that weights may carry a gradient."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        weights = sample_weights(2).requires_grad_()
        check_maps(seen_maps(drawn(target, weights, list(TOKENS))), weights.detach(), TOKENS, all_named=False)

    return Promise(asked, keep)


def one_head(asked: str, *more: Any) -> Promise:
    """Promise that one head is drawn as well as several."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        weights = sample_weights(1)
        check_maps(seen_maps(drawn(target, weights, list(TOKENS), *more)), weights, TOKENS, all_named=False)

    return Promise(asked, keep)
