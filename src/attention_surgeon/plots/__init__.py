"""Tensors in, a matplotlib figure out: drawn in its own style, returned, never shown.

The figures belong to nobody's `pyplot`, so they need no closing and leave no setting changed. Write one with
`save_figure`; in a notebook run `%matplotlib inline` once and a figure on the last line shows itself.
"""

from attention_surgeon.plots.charts import Bars, Chart, Line, plot_charts
from attention_surgeon.plots.fault import plot_fault
from attention_surgeon.plots.fields import plot_fields
from attention_surgeon.plots.fonts import use_font
from attention_surgeon.plots.grid import plot_multihead_attention, plot_scale_comparison
from attention_surgeon.plots.head_statistics import plot_head_statistics
from attention_surgeon.plots.heatmap import plot_attention_heatmap
from attention_surgeon.plots.mask import plot_mask
from attention_surgeon.plots.over_picture import plot_over_picture
from attention_surgeon.plots.save import save_figure
from attention_surgeon.plots.scaling import plot_scaling_curves

__all__ = [
    "Bars",
    "Chart",
    "Line",
    "plot_attention_heatmap",
    "plot_charts",
    "plot_fault",
    "plot_fields",
    "plot_head_statistics",
    "plot_mask",
    "plot_multihead_attention",
    "plot_over_picture",
    "plot_scale_comparison",
    "plot_scaling_curves",
    "save_figure",
    "use_font",
]
