"""The operating table for real models: operate on their attention, look at it, and put everything back."""

from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.capture import Capture, CapturedLayer, capture, visit_layers
from attention_surgeon.surgery.effect import Effect, before_and_after, layer_statistics
from attention_surgeon.surgery.layers import Layer, attention_layers
from attention_surgeon.surgery.loading import BUILT_IN, LoadedModel, load_model
from attention_surgeon.surgery.operating import operate
from attention_surgeon.surgery.operations import Operation, find_operation, operations
from attention_surgeon.surgery.predictions import Prediction, predict
from attention_surgeon.surgery.receipt import LayerReceipt, Receipt

__all__ = [
    "BUILT_IN",
    "AttentionCall",
    "Capture",
    "CapturedLayer",
    "Effect",
    "Layer",
    "LayerReceipt",
    "LoadedModel",
    "Operation",
    "Prediction",
    "Receipt",
    "attention_layers",
    "before_and_after",
    "capture",
    "find_operation",
    "layer_statistics",
    "load_model",
    "operate",
    "operations",
    "predict",
    "visit_layers",
]
