"""Bugs for `viewer`."""

from tests.mutants.mutant import Mutant

VIEWER_BUGS = [
    Mutant(
        "a comparison begins where least changed",
        "viewer/distances.py",
        "most = max(range(len(changes)), key=changes.__getitem__)",
        "most = min(range(len(changes)), key=changes.__getitem__)",
    ),
    Mutant(
        "a comparison begins at the first cell",
        "viewer/distances.py",
        "divmod(int((other - one).abs_().argmax()), one.shape[-1])",
        "(0, 0)",
    ),
    Mutant(
        "a weak weight is coded as none",
        "viewer/codes.py",
        '    np.maximum(codes, weights > 0, out=codes, casting="unsafe")\n',
        "",
    ),
    Mutant("codes are cut off, not rounded", "viewer/codes.py", "    codes += np.float32(0.5)\n", ""),
    Mutant(
        "linear codes said to be square roots",
        "viewer/codes.py",
        "np.sqrt(weights / np.float32(top))",
        "weights / np.float32(top)",
    ),
    Mutant(
        "the page grows past its size",
        "viewer/detail.py",
        "<= room:\n            found",
        "<= 2 * room:\n            found",
    ),
    Mutant("a map asked for in full loses steps", "viewer/detail.py", "    if is_full:\n", "    if False:\n"),
    Mutant(
        "the cost of a sample taken for that of the map", "viewer/detail.py", "size * scale / share", "size * scale"
    ),
    Mutant(
        "NaN is shown as nothing",
        "viewer/grids.py",
        "    if weights.min() >= 0 and weights.max() <= _HIGHEST:\n",
        "    if not (weights.min() < 0 or weights.max() > _HIGHEST):\n",
    ),
    Mutant(
        "the sink is the column with the largest weight",
        "viewer/contents.py",
        "sink = int(received.argmax())",
        "sink = int(largest.max(axis=0).argmax())",
    ),
    Mutant(
        "the weakest weights kept in place of the strongest",
        "viewer/contents.py",
        "shown.float().topk(count, dim=-1)",
        "shown.float().topk(count, dim=-1, largest=False)",
    ),
    Mutant(
        "a comparison with cells of two sizes",
        "viewer/contents.py",
        "return [_contents(subject, choices, strongest, caller) for subject in subjects]",
        "plans = [plan((costs * (1 + i)).tolist(), room, in_full) for i in range(len(subjects))]\n"
        "    return [_contents(subject, each, strongest, caller) for subject, each in zip(subjects, plans, strict=True)]",
    ),
    Mutant(
        "heads shared in turn, not in runs",
        "viewer/subject.py",
        "heads.index(place[dim]) // share",
        "heads.index(place[dim]) % key_value_heads",
    ),
    Mutant("a token ends the script it stands in", "viewer/page.py", '.replace("<", "\\\\u003c")', ""),
    Mutant(
        "the notebook's own page can be reached",
        "viewer/page.py",
        'sandbox="allow-scripts allow-downloads"',
        'sandbox="allow-scripts allow-downloads allow-same-origin"',
    ),
    Mutant("any script may run", "viewer/page.py", "script-src {hash_of(code)}", "script-src 'unsafe-inline'"),
    Mutant(
        "queries where keys should stand",
        "viewer/document.py",
        '"keyTokens": _names(subject.key_tokens)',
        '"keyTokens": _names(subject.query_tokens)',
    ),
    Mutant(
        "the future counts as visible",
        "viewer/numbers.py",
        "return torch.ones(n_q, n_k, dtype=torch.bool).tril()",
        "return None",
    ),
    Mutant(
        "layers without names",
        "viewer/read.py",
        "[str(name) for name in what]",
        "[str(number) for number in range(len(what))]",
    ),
    Mutant("cross-attention takes any tokens", "viewer/subject.py", "        if n_q != n_k:\n", "        if False:\n"),
]
