"""Experiments that break attention on purpose and measure what happens, and the report on a text."""

from attention_surgeon.experiments.report import Report, ReportConfig, shipped_text
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.scaling import ScalingConfig, experiment_scaling_factor

__all__ = [
    "Report",
    "ReportConfig",
    "Result",
    "ScalingConfig",
    "experiment_scaling_factor",
    "shipped_text",
]
