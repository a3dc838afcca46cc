"""Reading, writing and splitting what heads do inside one run of a model."""

from attention_surgeon.surgery.patching.metric import Metric, read_metric, usual_metric
from attention_surgeon.surgery.patching.patch import ablate, attribute, patch
from attention_surgeon.surgery.patching.paths import logit_attribution, path_patch
from attention_surgeon.surgery.patching.result import PatchResult

__all__ = [
    "Metric",
    "PatchResult",
    "ablate",
    "attribute",
    "logit_attribution",
    "patch",
    "path_patch",
    "read_metric",
    "usual_metric",
]
