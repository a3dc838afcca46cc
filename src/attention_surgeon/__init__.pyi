# The one list of public names: read by type checkers and, at run time, by lazy_loader.
from .diagnose import Diagnosis
from .errors import SurgeonError
from .experiments import compare_masking, experiment_scaling_factor
from .kernels import tiled_attention
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
from .stats import analyze_attention_patterns, head_statistics, scan_attention
from .surgery import capture, operate
from .testing import check_attention
from .trace import AttentionTrace, load_trace, record
from .viewer import compare, view

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
    "analyze_attention_patterns",
    "attention",
    "attention_gradients",
    "capture",
    "causal_mask",
    "check_attention",
    "compare",
    "compare_masking",
    "create_causal_mask",
    "create_reverse_mask",
    "experiment_scaling_factor",
    "head_statistics",
    "load_trace",
    "operate",
    "padding_mask",
    "plot_attention_heatmap",
    "plot_mask",
    "plot_multihead_attention",
    "record",
    "reverse_mask",
    "save_figure",
    "scaled_dot_product_attention",
    "scan_attention",
    "softmax",
    "tiled_attention",
    "topk_attention",
    "view",
    "window_mask",
]
