"""The two circuits of a head, as matrices: where it looks (QK) and what it moves (OV); and which heads compose.

    QK: score(a, b) = (a W_Q)(b W_K)ᵀ = a (W_Q W_Kᵀ) bᵀ        OV: what b becomes = b (W_V W_O)

Both have the rank of one head, so they are kept as two thin factors and never multiplied out. The projections are not
looked up by name: the layer is asked what it hands to its attention for each unit vector, one token at position 0
(where a rotation by position turns nothing, though it may stretch), which holds for fused, quantised and adapted
projections alike. What is not a matrix is refused: queries that go through a norm of their own have no QK.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits". Biases, and the norm in front of the
layer, are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.frames import as_data_frame
from attention_surgeon.surgery.inputs import TextLike, prepare, run_model, token_names
from attention_surgeon.surgery.layers import model_name
from attention_surgeon.surgery.patching.anatomy import Place, require_places, survey
from attention_surgeon.surgery.patching.paths import unembedding
from attention_surgeon.surgery.patching.touching import reading, touching

Kind: TypeAlias = Literal["Q", "K", "V"]
_SAME = 1e-3


@final
@dataclass(frozen=True, eq=False, repr=False)
class Factored:
    """A matrix `left @ right` of low rank, `(width, width)`.

    Attributes:
        left: `(width, d)` float64.
        right: `(d, width)` float64.
    """

    left: Tensor
    right: Tensor

    def svd(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return `U (width, d)`, the singular values `(d,)` and `V (width, d)`, without forming the matrix."""
        outer_left, inner_left = torch.linalg.qr(self.left)
        outer_right, inner_right = torch.linalg.qr(self.right.T)
        U, values, V = torch.linalg.svd(inner_left @ inner_right.T)
        return outer_left @ U, values, outer_right @ V.T

    def dense(self) -> Tensor:
        """Return the matrix, `(width, width)`."""
        return self.left @ self.right  # (w, d) @ (d, w) -> (w, w)

    def norm(self) -> float:
        """Return its Frobenius norm."""
        return float((self.left.T @ self.left @ self.right @ self.right.T).trace().clamp_min(0).sqrt())

    def __repr__(self) -> str:
        """Say its shape and rank in one line."""
        width, rank = self.left.shape
        return f"Factored({width} x {width}, rank {rank}, norm {self.norm():.4g})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class HeadCircuit:
    """What one head does, whatever the text.

    Attributes:
        layer: Name of its layer.
        head: Its number.
        qk: Where it looks: `a @ qk @ b` is the score of query a and key b before the scale; None: its queries or keys
            go through a norm of their own, so that there is no such matrix.
        ov: What it moves: `b @ ov` is what it adds where it looks at b.
    """

    layer: str
    head: int
    qk: Factored | None
    ov: Factored

    def __repr__(self) -> str:
        """Say the ranks and the largest singular values in one line."""
        qk = "none" if self.qk is None else f"{float(self.qk.svd()[1][0]):.4g}"
        ov = f"{float(self.ov.svd()[1][0]):.4g}"
        return f"HeadCircuit({self.layer}.{self.head}, largest singular value: QK {qk}, OV {ov})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Circuits:
    """The circuits of all heads of a model.

    Attributes:
        source: Class and type of the model.
        heads: By layer and number.
        embedding: `(vocabulary, width)`; None: the model has none.
        unembedding: `(vocabulary, width)`; None: the model has none.
    """

    source: str
    heads: Mapping[tuple[str, int], HeadCircuit]
    embedding: Tensor | None
    unembedding: Tensor | None

    def head(self, layer: int | str, head: int) -> HeadCircuit:
        """Return the circuit of one head.

        Raises:
            OptionError: there is no such head.
        """
        try:
            return self.heads[str(layer), head]
        except KeyError:
            layers = list(dict.fromkeys(name for name, _ in self.heads))
            raise OptionError(
                f"circuits: there is no head {layer}.{head}; the layers are {layers[0]} to {layers[-1]}."
            ) from None

    def composition(self, kind: Kind = "K") -> Tensor:
        """Return how much each later head reads from what each earlier one writes, `(heads, heads)`, earlier in rows.

        |W_OV W_in| / (|W_OV| |W_in|) in Frobenius norms, where W_in is QK (`Q`), QKᵀ (`K`) or OV (`V`) of the later
        head; NaN where it is not later, or has no QK. Elhage et al. 2021, "Composition scores".
        """
        if kind not in ("Q", "K", "V"):
            raise OptionError(f"circuits: composition by {kind!r}, expected 'Q', 'K' or 'V'.")
        keys = list(self.heads)
        layers = list(dict.fromkeys(layer for layer, _ in keys))
        scores = torch.full((len(keys), len(keys)), float("nan"), dtype=torch.float64)
        for row, earlier in enumerate(keys):
            for column, later in enumerate(keys):
                reads = _reads(self.heads[later], kind)
                if layers.index(earlier[0]) < layers.index(later[0]) and reads is not None:
                    scores[row, column] = _composed(self.heads[earlier].ov, reads)
        return scores

    def rows(self, kind: Kind = "K") -> list[dict[str, Any]]:
        """Return one record for each pair of heads that can compose."""
        keys, scores = list(self.heads), self.composition(kind)
        return [
            {"from": f"{a[0]}.{a[1]}", "to": f"{b[0]}.{b[1]}", "kind": kind, "score": float(scores[row, column])}
            for row, a in enumerate(keys)
            for column, b in enumerate(keys)
            if not torch.isnan(scores[row, column])
        ]

    def to_pandas(self, kind: Kind = "K") -> Any:
        """Return the composition scores as a `pandas.DataFrame`.

        Raises:
            LoadError: pandas is not installed.
        """
        return as_data_frame(self.rows(kind))

    def copies(self, layer: int | str, head: int) -> float:
        """Return how much a head copies, -1 to 1: the real parts of OV's eigenvalues, summed, over their sizes, summed.

        1: what it looks at, it writes; -1: it writes the opposite. Elhage et al. 2021, "Copying".
        """
        ov = self.head(layer, head).ov
        values = torch.linalg.eigvals(ov.right @ ov.left)  # the eigenvalues of A B are those of B A
        return float(values.real.sum() / values.abs().sum().clamp_min(1e-300))

    def top_tokens(
        self, layer: int | str, head: int, *, tokenizer: Any = None, most: int = 5, directions: int = 3
    ) -> tuple[tuple[float, tuple[str, ...], tuple[str, ...]], ...]:
        """Return for OV's strongest directions their singular value, the tokens read, and those written.

        Raises:
            OptionError: no such head.
            SurgeryError: the model has no embedding of tokens or no logits.
        """
        if self.embedding is None or self.unembedding is None:
            raise SurgeryError(f"{self.source} has no tokens on both sides, so its directions have no words.")
        left, values, right = self.head(layer, head).ov.svd()
        found = []
        for one in range(min(directions, len(values))):
            read, written = self.embedding.double() @ left[:, one], self.unembedding.double() @ right[:, one]
            sign = 1.0 if float(read.max()) >= -float(read.min()) else -1.0  # a singular pair has a sign in common
            tokens = [
                token_names((sign * side).topk(min(most, len(side))).indices, tokenizer) for side in (read, written)
            ]
            found.append((float(values[one]), tokens[0], tokens[1]))
        return tuple(found)

    def __repr__(self) -> str:
        """Say in one line how many heads there are."""
        layers = len({layer for layer, _ in self.heads})
        return f"Circuits({self.source}, {layers} layers, {len(self.heads)} heads)"


def circuits(model: nn.Module, text: TextLike = (0,)) -> Circuits:
    """Return the QK and OV circuits of every head of a model.

    Args:
        model: A model of transformers that calls its attention registry, or one that holds layers of this package.
        text: One token with which the model is run to see how its layers are called.

    Raises:
        SurgeryError: no attention; a layer whose values are no linear function of what it is given, or whose heads go
            through no output projection.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> found = circuits(Decoder(DecoderConfig(vocabulary_size=11)).eval())
    >>> found, found.head(1, 3).ov
    (Circuits(Decoder, 2 layers, 8 heads), Factored(64 x 64, rank 16, norm ...))
    """
    given = prepare(model, list(text) if isinstance(text, tuple) else text)
    places = require_places(survey(model, given), model)
    heads: dict[tuple[str, int], HeadCircuit] = {}
    for place in places:
        if place.layer.stack != "cross":
            heads.update(_of_layer(model, place, given))
    get: Any = getattr(model, "get_input_embeddings", None)
    own: Any = getattr(model, "token_embedding", None)
    embedding: Any = own if own is not None else get() if callable(get) else None
    written = unembedding(model)
    read = getattr(embedding, "weight", None)
    return Circuits(
        model_name(model), heads, read.detach() if isinstance(read, Tensor) else None, written and written[0]
    )


def _of_layer(model: nn.Module, place: Place, given: Any) -> dict[tuple[str, int], HeadCircuit]:
    read, exact = _operand_matrices(model, place, given)
    if not exact["v"]:
        raise SurgeryError(f"layer {place.layer.name}: its values are no linear function of what the layer is given.")
    output = place.output_matrix().double()
    group = place.num_heads // place.num_kv_heads
    found = {}
    for head in range(place.num_heads):
        shared = head // group
        qk = Factored(read["q"][head], read["k"][shared].T) if exact["q"] and exact["k"] else None
        found[place.layer.name, head] = HeadCircuit(
            place.layer.name, head, qk, Factored(read["v"][shared], output[head])
        )
    return found


@torch.no_grad()
def _operand_matrices(model: nn.Module, place: Place, given: Any) -> tuple[dict[str, Tensor], dict[str, bool]]:
    """Return W_Q, W_K and W_V by head, `(heads, width, d)` float64, and whether each really is a matrix.

    The layer is called with the zero vector, every unit vector, and a random one, as so many texts of one token.
    """
    module = place.layer.module
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    hook = module.register_forward_pre_hook(lambda _, args, named: calls.append((args, dict(named))), with_kwargs=True)
    try:
        run_model(model, _one_token(model, given))
    finally:
        hook.remove()
    args, named = calls[0]
    name = "hidden_states" if "hidden_states" in named else None
    width = (named[name] if name else args[0]).shape[-1]
    first = named[name] if name else args[0]
    drawn = torch.randn(1, width, generator=torch.Generator().manual_seed(0)).to(first)
    rows = torch.cat([torch.zeros_like(drawn), torch.eye(width).to(first), drawn])[:, None]  # (width + 2, 1, width)
    named, args = {key: _no_cache(value) for key, value in named.items()}, tuple(_no_cache(value) for value in args)
    if name:
        named[name] = rows
    else:
        args = (rows, *args[1:])
    found: dict[tuple[str, str], Tensor] = {}
    with touching([reading(place, what, found) for what in "qkv"]):
        module(*args, **named)
    matrices, exact = {}, {}
    for what in "qkv":
        operand = found[place.layer.name, what][:, :, 0].double()  # (width + 2, heads, d)
        matrix = (operand[1:-1] - operand[0]).transpose(0, 1)  # (heads, width, d)
        expected = (drawn.double() @ matrix)[:, 0] + operand[0]  # (1, w) @ (h, w, d) -> (h, 1, d)
        error = float((expected - operand[-1]).abs().max())
        matrices[what], exact[what] = matrix, error < _SAME * max(float(operand[-1].abs().max()), 1e-9)
    return matrices, exact


def _no_cache(value: Any) -> Any:
    """Return an argument of a layer, None for a cache, which holds the one text of the run."""
    return None if hasattr(value, "get_seq_length") else value


def _one_token(model: nn.Module, given: Any) -> Any:
    """Return the call with one token."""
    ids = given.arguments.get("input_ids")
    return prepare(model, ids[:, :1]) if isinstance(ids, Tensor) else given


def _reads(head: HeadCircuit, kind: Kind) -> Factored | None:
    if kind == "V":
        return head.ov
    if head.qk is None or kind == "Q":
        return head.qk
    return Factored(head.qk.right.T, head.qk.left.T)


def _composed(writes: Factored, reads: Factored) -> float:
    """Return |A B| / (|A| |B|) of A = writes and B = reads, from products of the size of one head."""
    product = Factored(writes.left, (writes.right @ reads.left) @ reads.right)
    return product.norm() / max(writes.norm() * reads.norm(), 1e-300)
