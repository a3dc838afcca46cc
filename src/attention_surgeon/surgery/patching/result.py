"""What patching gives: one number for each layer and head, where it began and where it could go, and the receipt."""

import base64
import html
import io
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor

from attention_surgeon.frames import as_data_frame
from attention_surgeon.surgery.receipt import Receipt


@final
@dataclass(frozen=True, eq=False, repr=False)
class PatchResult:
    """The metric for each thing that was patched.

    Attributes:
        method: What was done: `patch z`, `mean ablation of z`, `attribution of z`, `path to logits`.
        source: Class and type of the model.
        metric: What was measured.
        values: `(layers, columns)` float64: the metric with this one patched; NaN where there is no such head.
        start: The metric with nothing patched.
        goal: The metric of the run that was read from; None: there is none (an ablation by zeros).
        layers: Names of the rows.
        columns: Names of the columns: heads, or positions with their tokens for the residual stream.
        column_kind: Which of the two.
        receipt: What was read and written, and what stayed as it was.
        rest: What is in none of the heads (a direct logit attribution); None: not asked.
    """

    method: str
    source: str
    metric: str
    values: Tensor
    start: float
    goal: float | None
    layers: tuple[str, ...]
    columns: tuple[str, ...]
    column_kind: Literal["head", "position"]
    receipt: Receipt
    rest: float | None = None

    @property
    def effects(self) -> Tensor:
        """How far each one went from `start` to `goal`, 1 = all the way; without a goal, how far the metric moved."""
        moved = self.values - self.start
        return moved if self.goal is None or self.goal == self.start else moved / (self.goal - self.start)

    @property
    def is_share(self) -> bool:
        """Whether the effects are shares of the way from `start` to `goal`."""
        return self.goal is not None and self.goal != self.start

    def strongest(self, most: int = 5) -> tuple[tuple[str, str, float], ...]:
        """Return layer, column and effect of what moved the metric most, either way, the strongest first."""
        sizes = self.effects.abs().nan_to_num(-1.0).flatten()
        found = sizes.argsort(descending=True, stable=True)[:most].tolist()
        places = [divmod(place, len(self.columns)) for place in found if sizes[place] >= 0]
        return tuple(
            (self.layers[row], self.columns[column], float(self.effects[row, column])) for row, column in places
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one record for each number: layer, head (or position), value, effect."""
        return [
            {
                "layer": layer,
                self.column_kind: name,
                "value": float(self.values[row, column]),
                "effect": float(self.effects[row, column]),
            }
            for row, layer in enumerate(self.layers)
            for column, name in enumerate(self.columns)
            if not torch.isnan(self.values[row, column])
        ]

    def to_pandas(self) -> Any:
        """Return the same as a `pandas.DataFrame`.

        Raises:
            LoadError: pandas is not installed.
        """
        return as_data_frame(self.rows())

    def heat_map(self, *, theme: Literal["light", "dark"] = "light") -> Any:
        """Return a figure of all effects, two hues around zero."""
        from attention_surgeon.plots.head_changes import plot_head_changes  # here, because it loads matplotlib

        return plot_head_changes(
            self.effects.numpy(),
            layers=self.layers,
            title=f"{self.method}: {self.metric}",
            label="share of the way to the clean metric" if self.is_share else "change of the metric",
            columns=self.columns if self.column_kind == "position" else None,
            theme=theme,
        )

    def _repr_html_(self) -> str:
        """Return the heat map with its sentence, for a notebook."""
        picture = io.BytesIO()
        self.heat_map().savefig(picture, format="png", dpi=110)
        data = base64.b64encode(picture.getvalue()).decode()
        words = html.escape(repr(self))
        image = f'<img alt="{words}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{words}</figcaption></figure>"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "method": self.method,
            "model": self.source,
            "metric": self.metric,
            "start": self.start,
            "goal": self.goal,
            "rest": self.rest,
            "rows": self.rows(),
            "receipt": self.receipt.as_dict(),
        }

    def __repr__(self) -> str:
        """Say in one line what was done and what moved most."""
        top = self.strongest(1)
        best = f", strongest {self.column_kind} {top[0][0]}.{top[0][1]} {top[0][2]:+.3g}" if top else ""
        goal = "" if self.goal is None else f" -> {self.goal:.4g}"
        return f"PatchResult({self.method}, {self.metric}: {self.start:.4g}{goal}{best})"
