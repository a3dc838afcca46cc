"""The main job: a text in, and out come checked shapes, heat maps, the scaling comparison and a journal entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files as package_files
from pathlib import Path

from matplotlib.figure import Figure

from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.experiments.entry import write_entry
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.scaling import ScalingConfig
from attention_surgeon.experiments.scaling import run as run_scaling
from attention_surgeon.files import file_access_error, write_keeping
from attention_surgeon.journal import add_entry
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import describe_heads, tokenize, trace_text
from attention_surgeon.plots import (
    plot_attention_heatmap,
    plot_mask,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
)
from attention_surgeon.plots.save import figure_bytes
from attention_surgeon.require import require_count, require_switch
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
        is_quick: Whether the experiments are to take seconds.
        runs: Where the experiments are kept; None: `runs/` in `folder`.
    """

    text: str | None = None
    source: str = "the text that ships with the package"
    folder: Path = Path()
    max_tokens: int = 24
    num_heads: int = 4
    image_format: str = "png"
    scaling: ScalingConfig = field(default_factory=ScalingConfig)
    is_quick: bool = False
    runs: Path | None = None

    def __post_init__(self) -> None:
        """Refuse settings with which there would be nothing to show."""
        if self.image_format not in FORMATS:
            raise OptionError(f"report: the format is {self.image_format!r}; the choices are {', '.join(FORMATS)}.")
        require_count(self.num_heads, "num_heads", "report")
        require_count(self.max_tokens, "max_tokens", "report")
        require_switch(self.is_quick, "is_quick", "report")
        if self.max_tokens < 2:
            raise OptionError(f"report: max_tokens is {self.max_tokens}, expected at least 2 tokens to compare.")
        if self.text is not None and not tokenize(self.text):
            raise FileFormatError(f"report: {self.source} holds no words; give a text with at least one word.")


@dataclass(frozen=True)
class Report:
    """What a report made.

    Attributes:
        source: Where the text was from.
        text: The text.
        num_tokens: Tokens in the whole text.
        traces: The traces behind the heat maps, "every key" and "causal".
        scaling: The scaling comparison.
        figures: The figures, by name.
        pictures: Their files, by name.
        journal: The journal's file.
        kept: Copies of files that stood where a picture was to go and held something else.
    """

    source: str
    text: str
    num_tokens: int
    traces: Mapping[str, AttentionTrace]
    scaling: Result
    figures: Mapping[str, Figure]
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
    """Make a report on the text alone: pictures and journal entry.

    Args:
        config: The settings.
        on_stage: Called with the title of each stage as it begins, `STAGES` in all, for progress bars.

    Raises:
        FileAccessError: the folder cannot be made or written; pictures made before that stay.
    """
    report = look(config, on_stage)
    on_stage("writing the journal")
    write_journal(report)
    return report


def look(config: ReportConfig, on_stage: Callable[[str], None] = lambda title: None) -> Report:
    """Trace the text and draw the pictures, but write no journal entry; arguments and errors as `run`."""
    pictures = _make_folder(config.folder / "visualizations")
    on_stage("tracing attention on the text")
    text = shipped_text() if config.text is None else config.text
    tokens = tokenize(text)
    traces = _trace(tokens[: config.max_tokens], config.num_heads)
    on_stage("measuring the scale 1/√d_k")
    measured = run_scaling(config.scaling)
    on_stage("drawing the figures")
    figures = _figures(traces, measured)
    made, kept = _save_all(figures, pictures, config.image_format)
    journal = config.folder / "learning_journal.md"
    return Report(config.source, text, len(tokens), traces, measured, figures, made, journal, kept)


def write_journal(report: Report, page: Path | None = None, found: Mapping[str, str] | None = None) -> None:
    """Add the entry of a report to its journal.

    Args:
        report: What was made.
        page: The page that shows all of it, beside the journal; None if there is none.
        found: What the experiments found: each verdict by its question.

    Raises:
        FileAccessError: the journal cannot be read or written.
    """
    now = datetime.now().astimezone()
    seen, pictures = report.traces["every key"], list(report.pictures.values())
    entry = write_entry(now, report.source, report.num_tokens, seen, report.scaling, pictures, page, found or {})
    add_entry(report.journal, entry)


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


def _save_all(figures: Mapping[str, Figure], folder: Path, suffix: str) -> tuple[dict[str, Path], tuple[Path, ...]]:
    """Write the figures and return their files, and the copies of what stood there and held something else."""
    made = {name: folder / f"{name}.{suffix}" for name in figures}
    copies = [write_keeping(made[name], figure_bytes(figure, suffix)) for name, figure in figures.items()]
    return made, tuple(copy for copy in copies if copy)
