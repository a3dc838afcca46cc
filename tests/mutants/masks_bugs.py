"""Bugs for `masks`."""

from tests.mutants.mutant import Mutant

MASKS_BUGS = [
    Mutant(
        "causal mask hides the diagonal",
        "masks/by_position.py",
        "BandMask(shape, None, offset)\n\n\ndef reverse",
        "BandMask(shape, None, offset - 1)\n\n\ndef reverse",
    ),
    Mutant(
        "causal mask one too generous",
        "masks/by_position.py",
        "BandMask(shape, None, offset)\n\n\ndef reverse",
        "BandMask(shape, None, offset + 1)\n\n\ndef reverse",
    ),
    Mutant(
        "causal mask reversed",
        "masks/by_position.py",
        "BandMask(shape, None, offset)\n\n\ndef reverse",
        "BandMask(shape, offset, None)\n\n\ndef reverse",
    ),
    Mutant(
        "patterns of different sizes equal",
        "masks/forms.py",
        "len(rows), len(columns), columns.start - rows.start",
        "len(rows), columns.start - rows.start",
    ),
    Mutant("patterns by place", "masks/forms.py", "columns.start - rows.start  #", "columns.start  #"),
    Mutant("aligned at the start", "masks/by_position.py", 'n_k - n_q if align == "end" else 0', "0"),
    Mutant("aligned the wrong way", "masks/by_position.py", "n_k - n_q if align", "n_q - n_k if align"),
    Mutant("window does not count the query", "masks/by_position.py", "reach = size - 1", "reach = size"),
    Mutant("prefix one too long", "masks/forms.py", "(k < self.prefix_len)", "(k <= self.prefix_len)"),
    Mutant(
        "padding one too long",
        "masks/by_content.py",
        "device=lengths.device) < lengths[..., None]",
        "device=lengths.device) <= lengths[..., None]",
    ),
    Mutant("padding kept, tokens hidden", "masks/by_content.py", "tokens != padding_id", "tokens == padding_id"),
    Mutant(
        "documents see the others",
        "masks/forms.py",
        "return queries[..., :, None] == keys[..., None, :]  #",
        "return queries[..., :, None] != keys[..., None, :]  #",
    ),
    Mutant(
        "documents that touch lie apart",
        "masks/forms.py",
        "last_q < first_k or last_k",
        "last_q <= first_k or last_k",
    ),
    Mutant("ends of documents that come back", "masks/forms.py", "if self._ascend else", "if True else"),
    Mutant("and is or", "masks/mask.py", 'left & right if self.symbol == "&" else left | right', "left | right"),
    Mutant(
        "not does nothing",
        "masks/mask.py",
        "return ~self.inner._tile(rows, columns, device)",
        "return self.inner._tile(rows, columns, device)",
    ),
    Mutant(
        "a mixed tile called full",
        "masks/forms.py",
        "return TileKind.FULL if lowest <= smallest and largest <= highest else TileKind.MIXED",
        "return TileKind.FULL",
    ),
    Mutant(
        "a full tile called empty",
        "masks/forms.py",
        "if largest < lowest or smallest > highest:",
        "if largest <= lowest or smallest > highest:",
    ),
    Mutant(
        "PyTorch's polarity forgotten",
        "masks/convert.py",
        'hidden = ~_allowed(mask, device, "mask_to_mha")',
        'hidden = _allowed(mask, device, "mask_to_mha")',
    ),
    Mutant(
        "PyTorch's polarity forgotten on the way back",
        "masks/convert.py",
        "~read if mask.dtype == torch.bool else read",
        "read",
    ),
    Mutant(
        "additive mask adds 1",
        "masks/convert.py",
        "torch.zeros(allowed.shape, dtype=dtype",
        "torch.ones(allowed.shape, dtype=dtype",
    ),
    Mutant(
        "additive mask hides what may attend",
        "masks/convert.py",
        'masked_fill(~allowed, float("-inf"))',
        'masked_fill(allowed, float("-inf"))',
    ),
    Mutant(
        "a head axis at the wrong place",
        "masks/mask.py",
        "ViewMask((*batch, 1, n_q, n_k), self, (*batch, 1))",
        "ViewMask((1, *batch, n_q, n_k), self, (1, *batch))",
    ),
    Mutant(
        "lowest float not hidden",
        "masks/read.py",
        "return mask > max(torch.finfo(mask.dtype).min, torch.finfo(torch.bfloat16).min)",
        'return mask > float("-inf")',
    ),
    Mutant("0/1 floats accepted", "masks/read.py", "if holds(mask == 1) and", "if False and"),
    Mutant("integer mask inverted", "masks/read.py", "return mask.bool()", "return mask == 0"),
    Mutant("a bias taken for a mask", "masks/read.py", "    if bias.numel():", "    if False:"),
]
