"""The operating table for real models: operate on their attention, look at it, and put everything back."""

from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.capture import Capture, CapturedLayer, capture, visit_layers
from attention_surgeon.surgery.layers import Layer, attention_layers
from attention_surgeon.surgery.loading import LoadedModel, load_model
from attention_surgeon.surgery.operating import operate
from attention_surgeon.surgery.operations import Operation, find_operation, operations
from attention_surgeon.surgery.receipt import LayerReceipt, Receipt

__all__ = [
    "AttentionCall",
    "Capture",
    "CapturedLayer",
    "Layer",
    "LayerReceipt",
    "LoadedModel",
    "Operation",
    "Receipt",
    "attention_layers",
    "capture",
    "find_operation",
    "load_model",
    "operate",
    "operations",
    "visit_layers",
]
