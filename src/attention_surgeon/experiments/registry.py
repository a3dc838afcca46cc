"""All experiments, in the order in which one reads them."""

from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import (
    dropout,
    fault,
    heads,
    invariants,
    lines,
    mask_fill,
    masking,
    order,
    rank,
    saturation,
    scaling,
    score_growth,
    top_k,
    value_width,
)
from attention_surgeon.experiments.experiment import Experiment
from attention_surgeon.experiments.settings import suggestion

EXPERIMENTS: tuple[Experiment, ...] = (
    score_growth.EXPERIMENT,
    scaling.EXPERIMENT,
    saturation.EXPERIMENT,
    masking.EXPERIMENT,
    mask_fill.EXPERIMENT,
    value_width.EXPERIMENT,
    rank.EXPERIMENT,
    order.EXPERIMENT,
    lines.EXPERIMENT,
    heads.EXPERIMENT,
    dropout.EXPERIMENT,
    top_k.EXPERIMENT,
    invariants.EXPERIMENT,
    fault.EXPERIMENT,
)


def experiment_named(name: str) -> Experiment:
    """Return the experiment of that name.

    Raises:
        OptionError: there is none; the text lists those there are.

    >>> experiment_named("masking").question
    'What does a language model learn that may look at the answer?'
    """
    for experiment in EXPERIMENTS:
        if experiment.name == name:
            return experiment
    names = [experiment.name for experiment in EXPERIMENTS]
    raise OptionError(f"there is no experiment {name!r}; there are {', '.join(names)}.{suggestion(name, names)}")
