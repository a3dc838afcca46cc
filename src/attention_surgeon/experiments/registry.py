"""All experiments, in the order in which one reads them."""

from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import masking
from attention_surgeon.experiments.experiment import Experiment, suggestion

EXPERIMENTS: tuple[Experiment, ...] = (masking.EXPERIMENT,)


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
