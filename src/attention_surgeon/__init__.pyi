# The one list of public names: read by type checkers and, at run time, by lazy_loader.
from .diagnose import Diagnosis
from .errors import SurgeonError
from .experiments import compare_masking, experiment_scaling_factor
from .masks import (
    causal_mask,
    create_causal_mask,
    create_reverse_mask,
    padding_mask,
    reverse_mask,
    window_mask,
)
from .nn import (
    CrossAttention,
    GroupedQueryAttention,
    MultiHeadAttention,
    MultiheadAttention,
    MultiQueryAttention,
    SelfAttention,
    SimpleAttention,
    scaled_dot_product_attention,
)
from .ops import Mechanism, attention, attention_gradients, softmax, topk_attention
from .plots import plot_attention_heatmap, plot_mask, plot_multihead_attention, save_figure
from .testing import check_attention
from .trace import AttentionTrace, load_trace, record

__version__: str

__all__ = [
    "AttentionTrace",
    "CrossAttention",
    "Diagnosis",
    "GroupedQueryAttention",
    "Mechanism",
    "MultiHeadAttention",
    "MultiQueryAttention",
    "MultiheadAttention",
    "SelfAttention",
    "SimpleAttention",
    "SurgeonError",
    "attention",
    "attention_gradients",
    "causal_mask",
    "check_attention",
    "compare_masking",
    "create_causal_mask",
    "create_reverse_mask",
    "experiment_scaling_factor",
    "load_trace",
    "padding_mask",
    "plot_attention_heatmap",
    "plot_mask",
    "plot_multihead_attention",
    "record",
    "reverse_mask",
    "save_figure",
    "scaled_dot_product_attention",
    "softmax",
    "topk_attention",
    "window_mask",
]
