"""What a check must refuse and what it must accept, as callables: for those who test the course."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.course.exercises.basics import HEAD_DISTANCES, SHUFFLING_GAP, STRONGEST_PAIR
from attention_surgeon.course.exercises.capstone import GRADIENTS, OUTPUT, PROJECTIONS, SCORES, SHAPES, WEIGHTS
from attention_surgeon.course.exercises.chapter import MERGE_HEADS, SIMILARITY, SPLIT_HEADS, TO_TORCH_MASK
from attention_surgeon.course.exercises.function_check import FunctionCheck
from attention_surgeon.course.exercises.numbers_of_maps import COMPARISON, ENTROPY, SPARSITY, TOP_KEYS
from attention_surgeon.course.exercises.project import NEXT_TOKEN_LOSS, TOP_K
from attention_surgeon.course.exercises.tiled import TILED

Example = Callable[..., Any]

TABLES: Mapping[str, FunctionCheck] = {
    "check_strongest_pair": STRONGEST_PAIR,
    "check_shuffling_gap": SHUFFLING_GAP,
    "check_similarity": SIMILARITY,
    "check_entropy": ENTROPY,
    "check_top_keys": TOP_KEYS,
    "check_sparsity": SPARSITY,
    "check_comparison": COMPARISON,
    "check_split_heads": SPLIT_HEADS,
    "check_merge_heads": MERGE_HEADS,
    "check_to_torch_mask": TO_TORCH_MASK,
    "check_head_distances": HEAD_DISTANCES,
    "check_next_token_loss": NEXT_TOKEN_LOSS,
    "check_topk": TOP_K,
    "check_tiled": TILED,
    "check_projections": PROJECTIONS,
    "check_scores": SCORES,
    "check_weights": WEIGHTS,
    "check_output": OUTPUT,
    "check_shapes": SHAPES,
    "check_gradients": GRADIENTS,
}
"""The checks that have a table of usual mistakes."""


def wrong_examples(*checks: str) -> dict[str, list[Example]]:
    """Return the usual mistakes of each of these checks, as functions that have them.

    >>> [example.__name__ for example in wrong_examples("check_to_torch_mask")["check_to_torch_mask"]]
    ['mask_inverted', 'mask_transposed']
    """
    return {
        check: [example(mistake.words.name, mistake.does) for mistake in TABLES[check].mistakes] for check in checks
    }


def right_examples(*checks: str) -> dict[str, list[Example]]:
    """Return a right function for each of these checks."""
    return {check: [example("right", TABLES[check].right)] for check in checks}


def example(name: str, function: Example) -> Example:
    """Return the function under a name."""

    def named(*arguments: Any) -> Any:
        return function(*arguments)

    named.__name__ = named.__qualname__ = name
    return named


def copied_layer(name: str, change: Callable[[nn.MultiheadAttention], object]) -> Example:
    """Return a `from_torch` that copies PyTorch's layer and changes it: `(theirs) -> (x -> output)`."""

    def from_torch(theirs: nn.MultiheadAttention) -> Callable[[Tensor], Tensor]:
        ours = copy.deepcopy(theirs)
        with torch.no_grad():
            change(ours)
        return lambda x: ours(x, x, x)[0]

    return example(name, from_torch)
