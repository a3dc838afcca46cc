"""What a researcher does, by this package and by TransformerLens, on the same model in one run.

    pip install transformer-lens==4.3.0      what it is measured against; nothing else here needs it
    python -m benchmarks.research

For each job: the lines of code that each takes (the bodies below, as they stand), the seconds (the median of turns, one
after the other), and the largest difference between the two results, relative to the largest number in them. The models
are random, from the configuration of their type. A job that the other does not offer in a call of its own is written by
hand on top of it, as its users would.
"""

import argparse
import copy
import importlib
import importlib.util
import inspect
import json
import math
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from attention_surgeon.stats import head_statistics
from attention_surgeon.surgery import (
    capture,
    capture_batch,
    circuits,
    logit_attribution,
    norm_weighted,
    operate,
    patch,
    path_patch,
    pattern_operation,
    rollout,
)
from benchmarks.side_by_side import alternate

lens: Any = importlib.import_module("transformer_lens") if importlib.util.find_spec("transformer_lens") else None
WORDS, HEADS = 97, 4
RESULTS = Path(__file__).parent / "results" / "research.json"
_FOLDER = tempfile.TemporaryDirectory()  # it reads the tokenizer again from where it came
_SIZES: dict[str, Any] = {"vocab_size": WORDS, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_LLAMA: dict[str, Any] = {
    **_SIZES,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hf.GPT2Config(**_SIZES, n_layer=3, n_embd=64, n_head=HEADS, n_positions=128),
    "llama": lambda: hf.LlamaConfig(**_LLAMA),
    "mistral": lambda: hf.MistralConfig(**_LLAMA, sliding_window=8),
    "gemma2": lambda: hf.Gemma2Config(**_LLAMA, sliding_window=8, query_pre_attn_scalar=16),
    "qwen3": lambda: hf.Qwen3Config(**_LLAMA),
    "gpt_oss": lambda: hf.GptOssConfig(**_LLAMA, num_local_experts=2, num_experts_per_tok=1, sliding_window=8),
}


@dataclass(frozen=True, eq=False)
class Bench:
    """Both sides of one model, and the texts."""

    model: Any
    other: Any
    theirs: Any
    their_other: Any
    clean: Tensor
    corrupt: Tensor
    repeated: Tensor
    batch: Tensor

    @property
    def metric(self) -> str:
        """The difference of two logits at the last position, as a text."""
        return "logit(8) - logit(21)"


def difference(logits: Tensor) -> Tensor:
    """Return the same from logits."""
    return logits[0, -1, 8] - logits[0, -1, 21]


# Each pair of functions does one job and returns its numbers as one tensor.


def knock_out(b: Bench) -> Tensor:
    with operate(b.model, "knock_out", layers=1, heads=2):
        return b.model(b.clean).logits


def knock_out_there(b: Bench) -> Tensor:
    def silence(z: Tensor, hook: Any) -> Tensor:
        z[:, :, 2] = 0
        return z

    return b.theirs.run_with_hooks(b.clean, fwd_hooks=[("blocks.1.attn.hook_z", silence)])


def patched(b: Bench) -> Tensor:
    return patch(b.model, b.clean, b.corrupt, metric=b.metric, what="z").values


def patched_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.clean)
    return lens.patching.get_act_patch_attn_head_out_all_pos(b.theirs, b.corrupt, cache, difference)


def pattern_patched(b: Bench) -> Tensor:
    return patch(b.model, b.clean, b.corrupt, metric=b.metric, what="pattern").values


def pattern_patched_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.clean)
    return lens.patching.get_act_patch_attn_head_pattern_all_pos(b.theirs, b.corrupt, cache, difference)


def path(b: Bench) -> Tensor:
    return path_patch(b.model, b.clean, b.corrupt, metric=b.metric, to=(2, 1), through="k", layers=0).values[0]


def path_there(b: Bench) -> Tensor:
    _, clean = b.theirs.run_with_cache(b.clean)
    _, corrupt = b.theirs.run_with_cache(b.corrupt)
    found = [
        lens.patching.get_act_patch_direct_path(b.theirs, b.corrupt, clean, corrupt, difference, 0, head, "k", False)
        for head in range(HEADS)
    ]
    return torch.stack([one[2, 1] for one in found])


def induction(b: Bench) -> Tensor:
    layers = capture(b.model, b.repeated).layers
    return torch.stack([head_statistics(layer["pattern"], repeat_offset=20).induction for layer in layers])


def induction_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.repeated)
    patterns = [cache["pattern", layer][0] for layer in range(b.theirs.cfg.n_layers)]
    return torch.stack([one.diagonal(-19, -2, -1)[..., 1:].mean(-1) for one in patterns])


def average(b: Bench) -> Tensor:
    captured = capture_batch(b.model, list(b.batch))
    return torch.stack([torch.stack([layer["pattern"] for layer in one.layers]) for one in captured]).mean(0)


def average_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.batch)
    return torch.stack([cache["pattern", layer].mean(0) for layer in range(b.theirs.cfg.n_layers)])


def rolled_out(b: Bench) -> Tensor:
    return rollout(capture(b.model, b.clean))[-1]


def rolled_out_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.clean)
    n = b.clean.shape[1]
    found = torch.eye(n)
    for layer in range(b.theirs.cfg.n_layers):
        mean = cache["pattern", layer][0].mean(0)
        found = (0.5 * mean + 0.5 * torch.eye(n)) @ found
    return found


def weighted(b: Bench) -> Tensor:
    return norm_weighted(capture(b.model, b.clean, stream=True).layer(1))


def weighted_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.clean)
    value, matrix = cache["v", 1][0].transpose(0, 1), b.theirs.W_O[1]
    handed = value.repeat_interleave(HEADS // value.shape[0], 0) @ matrix
    return cache["pattern", 1][0] * handed.norm(dim=-1)[:, None]


def ov_circuit(b: Bench) -> Tensor:
    head = circuits(b.model).head(1, 2)
    return head.ov.svd()[1]


def ov_circuit_there(b: Bench) -> Tensor:
    return b.theirs.OV[1, 2].svd()[1][:16]


def checkpoints(b: Bench) -> Tensor:
    one, other = (capture(model, b.clean) for model in (b.model, b.other))
    return torch.stack(
        [after["pattern"] - before["pattern"] for before, after in zip(one.layers, other.layers, strict=True)]
    )


def checkpoints_there(b: Bench) -> Tensor:
    (_, one), (_, other) = (model.run_with_cache(b.clean) for model in (b.theirs, b.their_other))
    return torch.stack([other["pattern", n][0] - one["pattern", n][0] for n in range(b.theirs.cfg.n_layers)])


def sinks(b: Bench) -> Tensor:
    layers = capture(b.model, b.repeated).layers
    return torch.stack([layer["pattern"][..., 0].mean(-1) for layer in layers])


def sinks_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.repeated)
    return torch.stack([cache["pattern", n][0, :, :, 0].mean(-1) for n in range(b.theirs.cfg.n_layers)])


def as_table(b: Bench) -> Tensor:
    return torch.tensor(capture(b.model, b.clean).to_pandas()["weight"].to_numpy())


def as_table_there(b: Bench) -> Tensor:
    import pandas

    _, cache = b.theirs.run_with_cache(b.clean)
    rows = [
        {"layer": layer, "head": head, "query": query, "key": key, "weight": weight}
        for layer in range(b.theirs.cfg.n_layers)
        for head, pattern in enumerate(cache["pattern", layer][0].tolist())
        for query, row in enumerate(pattern)
        for key, weight in enumerate(row)
    ]
    return torch.tensor(pandas.DataFrame(rows)["weight"].to_numpy())


def own_pattern(b: Bench) -> Tensor:
    with operate(b.model, pattern_operation(lambda weights: weights.roll(1, -1)), layers=0, heads=1):
        return b.model(b.clean).logits


def own_pattern_there(b: Bench) -> Tensor:
    def rolled(pattern: Tensor, hook: Any) -> Tensor:
        pattern[:, 1] = pattern[:, 1].roll(1, -1)
        return pattern

    return b.theirs.run_with_hooks(b.clean, fwd_hooks=[("blocks.0.attn.hook_pattern", rolled)])


def logit_shares(b: Bench) -> Tensor:
    return logit_attribution(b.model, b.clean, metric=b.metric).values


def logit_shares_there(b: Bench) -> Tensor:
    _, cache = b.theirs.run_with_cache(b.clean)
    found = torch.stack([
        torch.einsum("hd,hdw->hw", cache["z", n][0, -1], b.theirs.W_O[n]) for n in range(b.theirs.cfg.n_layers)
    ])  # fmt: skip
    last = cache["resid_post", b.theirs.cfg.n_layers - 1][0, -1]
    norm, head = b.model.transformer.ln_f, b.model.lm_head.weight
    spread = (last.var(unbiased=False) + norm.eps).sqrt()
    level = (found - found.mean(-1, keepdim=True)) / spread * norm.weight
    return level @ (head[8] - head[21])


def generation(b: Bench) -> Tensor:
    written = b.model.generate(b.clean, max_new_tokens=4, do_sample=False)
    return capture(b.model, written).layer(1)["pattern"][:, -4:]


def generation_there(b: Bench) -> Tensor:
    # With its cache of keys and values it wrote other tokens here than without.
    options = {"do_sample": False, "use_past_kv_cache": False, "return_type": "tokens", "verbose": False}
    written = b.theirs.generate(b.clean, max_new_tokens=4, **options)
    _, cache = b.theirs.run_with_cache(written)
    return cache["pattern", 1][0, :, -4:]


Work = Callable[[Bench], Tensor]
JOBS: tuple[tuple[str, Work, Work], ...] = (
    ("knock out a head, read the logits", knock_out, knock_out_there),
    ("patch every head's output", patched, patched_there),
    ("patch every head's pattern", pattern_patched, pattern_patched_there),
    ("patch the paths into one head", path, path_there),
    ("induction heads", induction, induction_there),
    ("average attention over texts", average, average_there),
    ("rollout", rolled_out, rolled_out_there),
    ("norm-weighted attention", weighted, weighted_there),
    ("OV circuit, its SVD", ov_circuit, ov_circuit_there),
    ("two checkpoints", checkpoints, checkpoints_there),
    ("sinks", sinks, sinks_there),
    ("every weight to pandas", as_table, as_table_there),
    ("a pattern of one's own", own_pattern, own_pattern_there),
    ("shares of the logits by head", logit_shares, logit_shares_there),
    ("generation step by step", generation, generation_there),
)
EVERYWHERE = (knock_out, patched, pattern_patched, own_pattern, average, rolled_out, sinks, generation)
"""Jobs that are compared over all families."""


def lines_of(work: Work) -> int:
    """Return how many lines of code the body of a job takes."""
    code = textwrap.dedent(inspect.getsource(work)).splitlines()[1:]
    return sum(bool(line.strip()) for line in code)


def bench_of(name: str) -> Bench:
    """Return both sides of a random model of a type; theirs are copies, because it rewrites what it is given."""
    drawn = torch.Generator().manual_seed(2)
    models = [_random_model(name, seed) for seed in (0, 1)]
    theirs = [_bridge(name, copy.deepcopy(model)) for model in models]
    clean = torch.randint(1, WORDS, (1, 12), generator=drawn)
    corrupt = clean.clone()
    corrupt[0, 5] = (clean[0, 5] + 1) % WORDS
    half = torch.randint(1, WORDS, (1, 20), generator=drawn)
    batch = torch.randint(1, WORDS, (5, 12), generator=drawn)
    return Bench(models[0], models[1], theirs[0], theirs[1], clean, corrupt, torch.cat([half, half], 1), batch)


def _random_model(name: str, seed: int) -> Any:
    config = FAMILIES[name]()
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.15)
    model.config.architectures = [type(model).__name__]
    return model.requires_grad_(False)


def _bridge(name: str, model: Any) -> Any:
    return lens.TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=_tokenizer(), device="cpu")


def _tokenizer() -> Any:
    """Return a tokenizer of numbers, which it wants to have."""
    import tokenizers

    words = tokenizers.models.WordLevel({str(number): number for number in range(WORDS)}, unk_token="0")
    signs = dict.fromkeys(("pad_token", "eos_token", "bos_token", "unk_token"), "0")
    made = hf.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words), **signs)
    made.save_pretrained(_FOLDER.name)
    return hf.AutoTokenizer.from_pretrained(_FOLDER.name)


def off(one: Tensor, other: Tensor) -> float:
    """Return the largest difference, relative to the largest number."""
    one, other = one.detach().double(), other.detach().double()
    if one.shape != other.shape:
        return math.inf
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-9))


def rows_of(b: Bench, turns: int) -> Iterator[dict[str, Any]]:
    """Yield what each job takes on one model."""
    for name, ours, theirs in JOBS:
        row: dict[str, Any] = {"job": name, "lines": lines_of(ours), "their_lines": lines_of(theirs)}
        times = alternate({"ours": partial(ours, b), "theirs": partial(theirs, b)}, turns=turns)
        row |= {"seconds": times["ours"].median, "their_seconds": times["theirs"].median}
        yield row | {"off": off(ours(b), theirs(b))}


def agreement(name: str) -> dict[str, float | str]:
    """Return how far the jobs of every family are off on one of them, or why one could not be compared."""
    try:
        b = bench_of(name)
    except Exception as error:  # noqa: BLE001  whatever it is, the other side does not take this model
        return {"all": f"TransformerLens: {type(error).__name__}: {str(error).strip()[:120]}"}
    pairs = {ours: theirs for _, ours, theirs in JOBS}
    found: dict[str, float | str] = {}
    for ours in EVERYWHERE:
        try:
            found[ours.__name__] = off(ours(b), pairs[ours](b))
        except Exception as error:  # noqa: BLE001
            found[ours.__name__] = f"{type(error).__name__}: {str(error).strip()[:120]}"
    return found


def tables_of(found: dict[str, Any]) -> Iterator[str]:
    """Yield both tables as text."""
    yield "| job | lines | TransformerLens | ms | TransformerLens | off by |"
    yield "|---|---|---|---|---|---|"
    for row in found["jobs"]:
        times = f"{1e3 * row['seconds']:.0f} | {1e3 * row['their_seconds']:.0f}"
        yield f"| {row['job']} | {row['lines']} | {row['their_lines']} | {times} | {row['off']:.0e} |"
    names = [work.__name__ for work in EVERYWHERE]
    yield ""
    yield f"| model | {' | '.join(name.replace('_', ' ') for name in names)} |"
    yield f"|---{'|---' * len(names)}|"
    for name, family in found["families"].items():
        cells = [family.get(one, family.get("all", "")) for one in names]
        yield f"| {name} | {' | '.join(f'{cell:.0e}' if isinstance(cell, float) else cell for cell in cells)} |"


def main() -> None:
    """Run everything and keep it, or print the tables of what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--stored", action="store_true", help="Print what was measured before.")
    asked = parser.parse_args()
    if not asked.stored:
        if lens is None:
            raise SystemExit("benchmarks.research compares with TransformerLens: pip install transformer-lens==4.3.0")
        warnings.filterwarnings("ignore")
        lens.patching.tqdm = lambda given, *_, **__: given
        with torch.no_grad():
            found = {
                "jobs": list(rows_of(bench_of("gpt2"), asked.turns)),
                "families": {name: agreement(name) for name in FAMILIES},
            }
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(tables_of(json.loads(RESULTS.read_text()))))


if __name__ == "__main__":
    main()
