"""Who attends to whom in a sentence? Writes look_at_a_sentence.png beside you."""

from attention_surgeon import causal_mask, plot_multihead_attention, save_figure
from attention_surgeon.models import trace_text

trace = trace_text("The cat sat on the mat, and the mat lay still.", mask=causal_mask)
print(trace)
print(trace.head(0).strongest_pair(skip_self=True))
figure = plot_multihead_attention(trace.weights, trace.query_tokens, num_heads=4)
print(save_figure(figure, "look_at_a_sentence.png"))
