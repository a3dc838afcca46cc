"""Maps as a picture on paper, through the plots."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.plots import plot_attention_heatmap, plot_multihead_attention, save_figure
from attention_surgeon.stats import PooledMap
from attention_surgeon.viewer.subject import Map, Subject, name_of

_MOST_MAPS = 64


def save_picture(subjects: Sequence[Subject], title: str, place: Sequence[int | str], target: Path) -> None:
    """Write the maps at a place as a picture; of pooled maps the largest weight of each cell.

    Args:
        subjects: One for each stack of layers; the first that has maps at the place is drawn.
        title: Stands above.
        place: Which maps.
        target: The file.

    Raises:
        OptionError: no map there, or too many.
        FileAccessError: the file cannot be written.
    """
    wanted = tuple(str(at) for at in place)
    subject = next((each for each in subjects if any(at[: len(wanted)] == wanted for at in each.places)), subjects[0])
    maps = _chosen(subject, wanted)
    queries, keys = (None, None) if subject.is_pooled else (subject.query_tokens, subject.key_tokens)
    if len(maps) == 1:
        where = name_of(subject.axes, subject.places[maps[0]])
        words = f"{title}: {where}" if subject.axes else title
        figure = plot_attention_heatmap(_weights(subject.maps[maps[0]]), queries, words, key_tokens=keys)
    else:
        stacked = torch.stack([_weights(subject.maps[number]) for number in maps])
        figure = plot_multihead_attention(stacked, queries, len(maps), key_tokens=keys, title=title)
    save_figure(figure, target)


def _chosen(subject: Subject, place: tuple[str, ...]) -> list[int]:
    maps = [number for number, at in enumerate(subject.places) if at[: len(place)] == place]
    first, last = (name_of(subject.axes, subject.places[end]) for end in (0, -1))
    if not maps:
        raise OptionError(f"Page.save: there is no map at {', '.join(place)}; the maps are {first} to {last}.")
    if len(maps) > _MOST_MAPS:
        raise OptionError(
            f"Page.save: a picture shows at most {_MOST_MAPS} maps, not {len(maps)}; choose a {subject.axes[0]} with "
            f"place=({subject.places[0][0]},), or write a page (.html), which shows all."
        )
    return maps


def _weights(shown: Map) -> Tensor:
    return (shown.largest if isinstance(shown, PooledMap) else shown).detach().float().cpu()
