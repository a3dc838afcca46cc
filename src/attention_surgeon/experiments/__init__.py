"""Experiments that break attention on purpose and measure what happens, and the report on a text."""

from attention_surgeon.experiments.backends import Backend
from attention_surgeon.experiments.bench import Bench, Progress
from attention_surgeon.experiments.experiment import Experiment
from attention_surgeon.experiments.masking import MaskingConfig, compare_masking
from attention_surgeon.experiments.registry import EXPERIMENTS, experiment_named
from attention_surgeon.experiments.report import Report, ReportConfig, shipped_text
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.runs import SavedRun, find_run, load_run
from attention_surgeon.experiments.scaling import ScalingConfig, experiment_scaling_factor
from attention_surgeon.experiments.sweeps import sweep

__all__ = [
    "EXPERIMENTS",
    "Backend",
    "Bench",
    "Experiment",
    "MaskingConfig",
    "Progress",
    "Report",
    "ReportConfig",
    "Result",
    "SavedRun",
    "ScalingConfig",
    "compare_masking",
    "experiment_named",
    "experiment_scaling_factor",
    "find_run",
    "load_run",
    "shipped_text",
    "sweep",
]
