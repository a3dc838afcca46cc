"""The figures of the capstone: python visualize.py writes them to visualizations/."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch


def draw_sample():
    """Return a figure: the heat map of a sentence of your own (position against position), by your own functions."""
    # BEGIN SOLUTION
    # STUB: # 1. from steps import project, attention_scores, attention_weights
    # STUB: # 2. a sentence of at least three words; a vector for each; three matrices
    # STUB: # 3. the map: colours from 0 to 1 (cmap="Blues": larger is darker), words on both
    # STUB: #    axes, "from (query)" and "to (key)"
    from steps import attention_scores, attention_weights, project

    torch.manual_seed(4)
    words = "the surgeon kept her instruments".split()
    x = torch.randn(1, len(words), 16)
    W_q, W_k, W_v = (torch.randn(16, 8) / 2 for _ in range(3))
    Q, K, _ = project(x, W_q, W_k, W_v)
    weights = attention_weights(attention_scores(Q, K))[0]
    figure, axes = plt.subplots(layout="constrained")
    image = axes.imshow(weights, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(words)), words, rotation=45)
    axes.set_yticks(range(len(words)), words)
    axes.set_xlabel("to (key)")
    axes.set_ylabel("from (query)")
    axes.set_title("Attention weights")
    figure.colorbar(image)
    return figure
    # END SOLUTION


def plot_scaling(records):
    """Return a figure with two lines over d_k: the gradient with and without the scale.

    records: a list of {"d_k": ..., "scaled": True or False, "gradient": ...}, as your ablation of project 4 returns.
    """
    # BEGIN SOLUTION
    # STUB: # one line for scaled=True, one for scaled=False; a logarithmic x axis; names on both axes; a legend
    figure, axes = plt.subplots(layout="constrained")
    for scaled, label in [(True, "with the scale 1/√d_k"), (False, "without the scale")]:
        chosen = [record for record in records if record["scaled"] == scaled]
        axes.plot([r["d_k"] for r in chosen], [r["gradient"] for r in chosen], marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("d_k")
    axes.set_ylabel("median length of the gradient at the scores")
    axes.legend()
    return figure
    # END SOLUTION


def measure(d_k, scaled, num_keys=4, num_draws=2000):
    """Return one record for plot_scaling: the typical gradient at the scores, for random queries and keys."""
    scores = torch.randn(num_draws, 1, d_k) @ torch.randn(num_draws, d_k, num_keys)
    weights = torch.softmax(scores / d_k**0.5 if scaled else scores, dim=-1)
    wanted = torch.randn(num_draws, 1, num_keys)
    gradient = weights * (wanted - (weights * wanted).sum(dim=-1, keepdim=True))
    return {"d_k": d_k, "scaled": scaled, "gradient": gradient.norm(dim=-1).median().item()}


def main():
    folder = Path(__file__).parent / "visualizations"
    folder.mkdir(exist_ok=True)
    draw_sample().savefig(folder / "attention_heatmap.png", dpi=110)
    torch.manual_seed(0)
    records = [measure(d_k, scaled) for d_k in (16, 64, 256, 1024) for scaled in (True, False)]
    plot_scaling(records).savefig(folder / "scaling_ablation.png", dpi=110)
    for record in records:
        print(f"d_k {record['d_k']:>4}  {'with' if record['scaled'] else 'without':<7}  {record['gradient']:.1e}")
    print("written to", folder.name)


if __name__ == "__main__":
    main()
