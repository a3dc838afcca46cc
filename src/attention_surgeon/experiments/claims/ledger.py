"""Every claim, table and question of the five units, in their order, each with what decides it."""

from attention_surgeon.experiments.claims import on_masks, on_scaling, on_structure
from attention_surgeon.experiments.claims.claim import Claim
from attention_surgeon.experiments.claims.on_structure import promise

_SIMPLE, _CHAPTER, _LAB, _PROJECT, _CAPSTONE = (
    "problem 2, basics",
    "chapter 1",
    "lab 1, self-attention",
    "project 4, surgeon",
    "m5, from scratch",
)

LEDGER: tuple[Claim, ...] = (
    # problem 2
    Claim(_SIMPLE, "each position can attend to all positions", "promises", promise("everybody")),
    Claim(_SIMPLE, "weights are probabilities that sum to 1", "promises", promise("rows")),
    Claim(_SIMPLE, "the softmax goes over the last axis, the keys", "promises", promise("rows")),
    Claim(_SIMPLE, "the output has the shape of the input", "promises", promise("shape")),
    Claim(_SIMPLE, "it works with sequences of any length", "promises", promise("lengths")),
    Claim(_SIMPLE, "the score measures similarity", "promises", on_structure.similarity),
    Claim(_SIMPLE, "the output is a weighted combination of the values", "rank", on_structure.is_an_average),
    Claim(
        _SIMPLE,
        "without positions, order does not matter (permutation invariance)",
        "order",
        on_structure.order_is_lost,
    ),
    Claim(_SIMPLE, "rows are from (queries), columns to (keys)", "lines", on_structure.rows_are_queries),
    Claim(_SIMPLE, "the scale matters for the flow of gradients", "saturation", on_scaling.stops_learning),
    Claim(
        _SIMPLE, "the scale matters for numerical stability", "promises", promise("overflow", status="does not hold")
    ),
    Claim(
        _SIMPLE,
        "query, key and value serve different purposes, so there are three",
        why="no experiment takes one away yet",
    ),
    Claim(_SIMPLE, "'sat' attends strongly to 'cat'", why="an illustration; it would need a model trained on English"),
    # chapter 1
    Claim(_CHAPTER, "attention is a soft lookup", "promises", promise("lookup")),
    Claim(_CHAPTER, "the dot product is a similarity", "promises", on_structure.similarity),
    Claim(_CHAPTER, "the softmax turns scores into weights", "promises", promise("rows")),
    Claim(_CHAPTER, "why divide by √d_k", "scaling", on_scaling.stable),
    Claim(_CHAPTER, "heads specialise", "heads", on_structure.heads_differ),
    Claim(_CHAPTER, "why several heads help", "heads", on_structure.heads_help),
    Claim(_CHAPTER, "the layer matches PyTorch's within 1e-5", "promises", promise("torch layer")),
    # lab 1
    Claim(_LAB, "attention is a weighted sum, based on similarity", "rank", on_structure.is_an_average),
    Claim(_LAB, "inputs are not all treated alike", "scaling", on_scaling.not_alike),
    Claim(_LAB, "dividing by √d_k prevents vanishing gradients", "saturation", on_scaling.stops_learning),
    Claim(_LAB, "each head learns different relationships", "heads", on_structure.heads_differ),
    Claim(
        _LAB,
        "heads attend to different subspaces: together they can do more than one",
        "rank",
        on_structure.heads_do_more,
    ),
    Claim(_LAB, "heads are concatenated and projected, at the cost of one", "promises", promise("cost of heads")),
    Claim(_LAB, "the causal mask prevents looking at future tokens", "promises", promise("future")),
    Claim(_LAB, "the causal mask is lower triangular", "promises", promise("triangle")),
    Claim(_LAB, "the padding mask ignores padding", "promises", promise("padding")),
    Claim(_LAB, "masks are applied before the softmax", "fills", on_masks.mask_first),
    Claim(_LAB, "cross-attention joins two sequences", "promises", promise("cross")),
    # project 4
    Claim(_PROJECT, "scaling prevents saturation", "scaling", on_scaling.keeps_from_saturating),
    Claim(_PROJECT, "without it gradients vanish for large d_k", "scaling", on_scaling.gradients_vanish),
    Claim(
        _PROJECT, "wider means sharper, and sharper means weaker gradients", "saturation", on_scaling.sharper_is_weaker
    ),
    Claim(_PROJECT, "table, d_k 16: 0.8 without, 0.5 with", "scaling", on_scaling.table_row(16, 0.8, 0.5)),
    Claim(_PROJECT, "table, d_k 64: 0.95 without, 0.5 with", "scaling", on_scaling.table_row(64, 0.95, 0.5)),
    Claim(_PROJECT, "table, d_k 256: 0.99 without, 0.5 with", "scaling", on_scaling.table_row(256, 0.99, 0.5)),
    Claim(_PROJECT, "table, d_k 1024: 1.0 without, 0.5 with", "scaling", on_scaling.table_row(1024, 1.0, 0.5)),
    Claim(_PROJECT, "without scaling attention becomes a one-hot selector", "scaling", on_scaling.one_hot),
    Claim(_PROJECT, "with scaling the distribution remains stable", "scaling", on_scaling.stable),
    Claim(_PROJECT, "shapes: output [batch, n, d_v], weights [batch, n, n]", "width", on_structure.as_wide_as_values),
    Claim(
        _PROJECT,
        "a model with the reversed mask reaches nearly perfect training loss",
        "masking",
        on_masks.reverse_cheats,
    ),
    Claim(_PROJECT, "and fails where there is no future", "masking", on_masks.reverse_fails),
    Claim(
        _PROJECT,
        "the reversed mask hides the past / sees the future / sees only the future",
        "masking",
        on_masks.what_reverse_sees,
    ),
    Claim(_PROJECT, "a causal mask sees only the past", "masking", on_masks.causal_is_honest),
    Claim(_PROJECT, "without a mask attention is bidirectional", "masking", on_masks.none_cheats_too),
    Claim(
        _PROJECT,
        "the causal mask holds 0 and -inf / masks are applied by masked_fill(mask == 0, -inf)",
        "promises",
        promise("fill and mask", status="contradicts itself"),
    ),
    Claim(_PROJECT, "vertical lines: strong attention to particular tokens", "lines", on_structure.vertical_lines),
    Claim(_PROJECT, "horizontal lines: tokens that broadcast information", "lines", on_structure.horizontal_lines),
    Claim(_PROJECT, "diagonal patterns: a position attends to itself", "heads", on_structure.a_diagonal),
    Claim(
        _PROJECT, "block patterns: attention within phrases", why="needs a model that knows phrases; ours knows letters"
    ),
    Claim(_PROJECT, "check 1: the product of two random vectors grows like √d_k", "growth", on_scaling.grows_like_root),
    Claim(_PROJECT, "check 2: why -inf and not 0", "fills", on_masks.zero_leaks),
    Claim(_PROJECT, "check 3: why the output is d_v wide", "width", on_structure.as_wide_as_values),
    Claim(_PROJECT, "check 4: the output has no higher rank than the inputs", "rank", on_structure.rank_is_kept),
    Claim(_PROJECT, "attention is a convex combination", "rank", on_structure.is_an_average),
    Claim(_PROJECT, "exp overflows unless the largest score is subtracted first", "promises", promise("overflow")),
    Claim(_PROJECT, "masks belong before the softmax", "fills", on_masks.mask_first),
    Claim(_PROJECT, "a row that is masked throughout gives NaN", "fills", on_masks.empty_row_is_nan),
    Claim(_PROJECT, "replacing NaN by 0 mends it", "fills", on_masks.nan_to_zero),
    Claim(_PROJECT, "bonus: tiling needs less memory", why="measured by the fast kernels, not here"),
    Claim(_PROJECT, "bonus: attending to the nearest keys only", "topk", on_structure.top_k_is_enough),
    Claim(_PROJECT, "bonus: attention between two sequences", "promises", promise("cross")),
    Claim(_PROJECT, "bonus: key and value shared across heads", "promises", promise("shared heads")),
    Claim(_PROJECT, "bonus: dropout on the weights", "dropout", on_structure.dropout_keeps_the_mean),
    # m5
    Claim(_CAPSTONE, "every step has its documented shape", "width", on_structure.as_wide_as_values),
    Claim(_CAPSTONE, "with and without scaling behave differently in numbers", "scaling", on_scaling.output_changes),
    Claim(_CAPSTONE, "question 1: why √d_k, and what if d_k is large", "scaling", on_scaling.keeps_from_saturating),
    Claim(_CAPSTONE, "question 2: bidirectional and causal", "masking", on_masks.none_cheats_too),
    Claim(_CAPSTONE, "question 3: what several heads add", "heads", on_structure.heads_help),
    Claim(_CAPSTONE, "masks may be causal or for padding", "promises", promise("padding")),
)
