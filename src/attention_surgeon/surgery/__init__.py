"""The operating table for real models: operate on their attention, look at it, and put everything back."""

from attention_surgeon.surgery.adapters import read_cache, weights_of
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.capture import Capture, CapturedLayer, capture, capture_batch
from attention_surgeon.surgery.circuits import Circuits, Factored, HeadCircuit, circuits
from attention_surgeon.surgery.effect import Effect, before_and_after, layer_statistics
from attention_surgeon.surgery.flow import attention_flow, norm_weighted, rollout, value_weighted
from attention_surgeon.surgery.inputs import context_length, fit_to_context
from attention_surgeon.surgery.layers import Layer, attention_layers
from attention_surgeon.surgery.loading import BUILT_IN, LoadedModel, load_model
from attention_surgeon.surgery.operating import operate
from attention_surgeon.surgery.operations import Operation, find_operation, operations, pattern_operation
from attention_surgeon.surgery.patching import PatchResult, ablate, attribute, logit_attribution, patch, path_patch
from attention_surgeon.surgery.predictions import Prediction, predict
from attention_surgeon.surgery.receipt import LayerReceipt, Receipt
from attention_surgeon.surgery.sound import Sound, heard, read_sound
from attention_surgeon.surgery.vision import Patches, over_patches, read_picture
from attention_surgeon.surgery.visit import visit_layers
from attention_surgeon.surgery.write import written

__all__ = [
    "BUILT_IN",
    "AttentionCall",
    "Capture",
    "CapturedLayer",
    "Circuits",
    "Effect",
    "Factored",
    "HeadCircuit",
    "Layer",
    "LayerReceipt",
    "LoadedModel",
    "Operation",
    "PatchResult",
    "Patches",
    "Prediction",
    "Receipt",
    "Sound",
    "ablate",
    "attention_flow",
    "attention_layers",
    "attribute",
    "before_and_after",
    "capture",
    "capture_batch",
    "circuits",
    "context_length",
    "find_operation",
    "fit_to_context",
    "heard",
    "layer_statistics",
    "load_model",
    "logit_attribution",
    "norm_weighted",
    "operate",
    "operations",
    "over_patches",
    "patch",
    "path_patch",
    "pattern_operation",
    "predict",
    "read_cache",
    "read_picture",
    "read_sound",
    "rollout",
    "value_weighted",
    "visit_layers",
    "weights_of",
    "written",
]
