"""What a sweep is: an experiment, the values that each swept setting takes, and how many seeds each is tried with."""

import dataclasses
import itertools
import json
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.experiments.experiment import Experiment
from attention_surgeon.experiments.registry import experiment_named
from attention_surgeon.experiments.settings import change_settings, require_setting
from attention_surgeon.require import require_count

SUFFIX = "-sweep"
"""What the name of a sweep ends with; before it stands the experiment."""

_SEVERAL = "_values"


@final
@dataclass(frozen=True)
class SweepConfig:
    """Settings of a sweep; `plan_sweep` makes one.

    Attributes:
        experiment: Its name.
        base: Its settings, as far as they are not swept.
        axes: Each swept setting with its values.
        num_seeds: Seeds that each combination of values is tried with: that of `base`, and those that follow.
    """

    experiment: str
    base: Any
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    num_seeds: int

    @property
    def seed(self) -> int:
        """The first seed."""
        return self.base.seed

    @property
    def command(self) -> str:
        """What makes the same again, on this machine."""
        words = _words(self.experiment, self.base, but={_setting_of(self.base, name) for name, _ in self.axes})
        for name, values in self.axes:
            words += ["--sweep", f"{name}={','.join(map(_written, values))}"]
        return shlex.join([*words, "--seeds", str(self.num_seeds)])

    def points(self) -> Iterator["Point"]:
        """Yield every run of the sweep, all seeds of one combination of values after each other.

        Raises:
            OptionError, ArgumentTypeError: values with which the experiment cannot run.
        """
        experiment = experiment_named(self.experiment)
        for values in itertools.product(*(values for _, values in self.axes)):
            swept = {name: value for (name, _), value in zip(self.axes, values, strict=True)}
            changes = {_setting_of(self.base, name): value for name, value in swept.items()}
            config = change_settings(self.base, changes, experiment.name)
            for seed in range(self.seed, self.seed + self.num_seeds):
                yield Point(self.experiment, dataclasses.replace(config, seed=seed), swept)


@final
@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        experiment: Its name.
        config: Its settings.
        swept: The values that make it another point than the next, by the names they were given under.
    """

    experiment: str
    config: Any
    swept: Mapping[str, Any]

    @property
    def command(self) -> str:
        """What makes the same run on its own."""
        return shlex.join(_words(self.experiment, self.config))

    def __str__(self) -> str:
        """Name it in a message: `d_k 16, seed 3`."""
        values = [f"{name} {value_text(value)}" for name, value in self.swept.items()]
        return ", ".join([*values, f"seed {self.config.seed}"])


def plan_sweep(
    name: str,
    axes: Mapping[str, Sequence[Any]],
    *,
    num_seeds: int = 1,
    is_quick: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> SweepConfig:
    """Return the settings of a sweep, every point of it checked; see `sweep`.

    Raises:
        OptionError, ArgumentTypeError: no such experiment or setting, no value, the same value twice, no seed, or a
            value with which the experiment cannot run.

    >>> [str(point) for point in plan_sweep("scaling", {"d_k": [16, 64]}, num_seeds=2).points()]
    ['d_k 16, seed 0', 'd_k 16, seed 1', 'd_k 64, seed 0', 'd_k 64, seed 1']
    """
    require_count(num_seeds, "seeds", "sweep")
    settings = settings or {}
    base = experiment_named(name).make_config(is_quick=is_quick, **settings)
    swept = {axis: _checked(axis, values) for axis, values in axes.items()}
    _require_settings(experiment_named(name), base, swept, settings)
    config = SweepConfig(name, base, tuple(swept.items()), num_seeds)
    list(config.points())  # what is wrong with any of them is said before the first is run
    return config


def value_text(value: Any) -> str:
    """Return a value for a table: a list as `16,64`.

    >>> value_text((16, 64)), value_text(0.5)
    ('16,64', '0.5')
    """
    return ",".join(map(value_text, value)) if isinstance(value, tuple) else str(value)


def _checked(axis: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ArgumentTypeError(f"sweep: {axis} is {values!r}, expected a list of values such as [16, 64, 256].")
    if not values:
        raise OptionError(f"sweep: {axis} has no values, expected at least one, such as {axis}=16,64.")
    listed = tuple(_alone(tuple(value)) if isinstance(value, list | tuple) else value for value in values)
    for number, value in enumerate(listed):
        if value in listed[:number]:
            raise OptionError(f"sweep: {axis} has the value {value_text(value)} twice; each is run once: give it once.")
    return listed


def _alone(values: tuple[Any, ...]) -> Any:
    """Return a list of one as its value, which means the same."""
    return values[0] if len(values) == 1 else values


def _require_settings(experiment: Experiment, base: Any, swept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to sweep what is no setting, the seed, or a setting that has another value already."""
    seen: dict[str, str] = {}
    for axis in swept:
        setting = _setting_of(base, axis)
        require_setting(base, setting, experiment.name)
        if setting == "seed":
            raise OptionError("sweep: the seed is swept by the number of seeds; give --seeds 8 for 0 to 7.")
        if setting in given:
            raise OptionError(
                f"sweep: {setting} is set to one value and swept over several; leave one of the two away."
            )
        if setting in seen:
            raise OptionError(f"sweep: {seen[setting]} and {axis} are the same setting; give it once.")
        seen[setting] = axis


def _setting_of(base: Any, axis: str) -> str:
    """Return which setting is meant: `d_k` is one value of `d_k_values`."""
    known = [setting.name for setting in dataclasses.fields(base)]
    return axis + _SEVERAL if axis not in known and axis + _SEVERAL in known else axis


def _words(experiment: str, config: Any, but: Collection[str] = ()) -> list[str]:
    """Return the command line that gives these settings, of those that are not the usual ones."""
    usual = _flat(experiment_named(experiment).make_config())
    words = ["surgeon", "experiment", "run", experiment, "--seed", str(config.seed)]
    for name, value in _flat(config).items():
        if name == "text" and value is not None:
            words += ["--text", config.source]
        elif value != usual[name] and name not in ("seed", "source", *but):
            words += ["--set", f"{name}={_written(value)}"]
    return words


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _flat(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in dataclasses.fields(config):
        value = getattr(config, setting.name)
        inner = _flat(value) if dataclasses.is_dataclass(value) else None
        found |= {setting.name: value} if inner is None else {f"{setting.name}.{name}": x for name, x in inner.items()}
    return found
