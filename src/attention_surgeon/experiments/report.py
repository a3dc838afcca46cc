"""The main job: a text in, and out come checked shapes, heat maps, the scaling comparison and a journal entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files as package_files
from pathlib import Path

from matplotlib.figure import Figure

from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.experiments.entry import write_entry
from attention_surgeon.experiments.journal import add_entry
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.scaling import ScalingConfig
from attention_surgeon.experiments.scaling import run as run_scaling
from attention_surgeon.files import file_access_error, keep_copy, replacing
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import describe_heads, tokenize, trace_text
from attention_surgeon.plots import (
    plot_attention_heatmap,
    plot_mask,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
    save_figure,
)
from attention_surgeon.require import require_count
from attention_surgeon.trace import AttentionTrace

FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class ReportConfig:
    """Settings of a report.

    Attributes:
        text: The text to look at; None is the one that ships with the package.
        source: Where the text is from, in words, for the journal.
        folder: Where `visualizations/` and `learning_journal.md` are made.
        max_tokens: How many tokens of the text, from its beginning, the heat maps show.
        num_heads: Heads of the layer.
        image_format: "png", "svg" or "pdf".
        scaling: Settings of the scaling comparison.
    """

    text: str | None = None
    source: str = "the text that ships with the package"
    folder: Path = Path()
    max_tokens: int = 24
    num_heads: int = 4
    image_format: str = "png"
    scaling: ScalingConfig = field(default_factory=ScalingConfig)

    def __post_init__(self) -> None:
        """Refuse settings with which there would be nothing to show."""
        if self.image_format not in FORMATS:
            raise OptionError(f"report: the format is {self.image_format!r}; the choices are {', '.join(FORMATS)}.")
        require_count(self.num_heads, "num_heads", "report")
        require_count(self.max_tokens, "max_tokens", "report")
        if self.max_tokens < 2:
            raise OptionError(f"report: max_tokens is {self.max_tokens}, expected at least 2 tokens to compare.")
        if self.text is not None and not tokenize(self.text):
            raise FileFormatError(f"report: {self.source} holds no words; give a text with at least one word.")


@dataclass(frozen=True)
class Report:
    """What a report made.

    Attributes:
        source: Where the text was from.
        num_tokens: Tokens in the whole text.
        traces: The traces behind the heat maps, "every key" and "causal".
        scaling: The scaling comparison.
        pictures: The figures' files, by name.
        journal: The journal's file.
        kept: Copies of files that stood where a picture was to go and held something else.
    """

    source: str
    num_tokens: int
    traces: Mapping[str, AttentionTrace]
    scaling: Result
    pictures: Mapping[str, Path]
    journal: Path
    kept: tuple[Path, ...]


def shipped_text() -> str:
    """Return the text that ships with the package: a few hundred words about a cat, keys and a surgeon.

    >>> shipped_text()[:22]
    'The cat sat on the mat'
    """
    return (package_files("attention_surgeon.experiments") / "texts" / "the_cat.txt").read_text(encoding="utf-8")


def run(config: ReportConfig, on_stage: Callable[[str], None] = lambda title: None) -> Report:
    """Make a report.

    Args:
        config: The settings.
        on_stage: Called with the title of each stage as it begins, `STAGES` in all, for progress bars.

    Raises:
        FileAccessError: the folder cannot be made or written; pictures made before that stay.
    """
    pictures = _make_folder(config.folder / "visualizations")
    on_stage("tracing attention on the text")
    tokens = tokenize(shipped_text() if config.text is None else config.text)
    traces = _trace(tokens[: config.max_tokens], config.num_heads)
    on_stage("measuring the scale 1/√d_k")
    measured = run_scaling(config.scaling)
    on_stage("drawing the figures")
    made, kept = _save_all(_figures(traces, measured), pictures, config.image_format)
    on_stage("writing the journal")
    journal = config.folder / "learning_journal.md"
    entry = write_entry(
        datetime.now().astimezone(), config.source, len(tokens), traces["every key"], measured, list(made.values())
    )
    add_entry(journal, entry)
    return Report(config.source, len(tokens), traces, measured, made, journal, tuple(kept))


STAGES = 4


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise FileAccessError(f"cannot make the folder {folder}: a file stands there; move it, or use --out.") from None
    except OSError as error:
        raise file_access_error("make the folder", folder, error) from error
    return folder


def _trace(tokens: list[str], num_heads: int) -> dict[str, AttentionTrace]:
    return {
        "every key": trace_text(tokens, num_heads=num_heads),
        "causal": trace_text(tokens, num_heads=num_heads, mask=causal_mask),
        "unscaled": trace_text(tokens, num_heads=num_heads, scale=False),
    }


def _figures(traces: Mapping[str, AttentionTrace], measured: Result) -> dict[str, Figure]:
    seen, unscaled = traces["every key"].head(0), traces["unscaled"].head(0)
    tokens, heads = seen.query_tokens, traces["causal"].weights
    hears = describe_heads(len(heads))[0]
    return {
        "attention_heatmap": plot_attention_heatmap(seen.weights, tokens, f"Attention weights, head 0 ({hears})"),
        "attention_heads": plot_multihead_attention(heads, tokens, len(heads), title="Every head, causal mask"),
        "causal_mask": plot_mask(causal_mask(len(tokens)), tokens, title="The causal mask"),
        "with_and_without_scale": plot_scale_comparison(seen.weights, unscaled.weights, tokens),
        "scaling_factor": plot_scaling_curves(measured.records),
    }


def _save_all(figures: Mapping[str, Figure], folder: Path, suffix: str) -> tuple[dict[str, Path], list[Path]]:
    """Write the figures; a file that holds something else is copied before it is replaced."""
    made, copies = {}, []
    for name, figure in figures.items():
        made[name] = folder / f"{name}.{suffix}"
        with replacing(made[name]) as fresh:
            save_figure(figure, fresh)
            if made[name].is_file() and made[name].read_bytes() != fresh.read_bytes():
                copies.append(keep_copy(made[name]))
    return made, [copy for copy in copies if copy]
