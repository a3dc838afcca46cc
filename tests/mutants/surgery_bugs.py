"""Bugs for `surgery`."""

from tests.mutants.mutant import Mutant

SURGERY_BUGS = [
    Mutant(
        "nothing is ever operated on",
        "surgery/table.py",
        "kinds = [kind for kind in dict.fromkeys(by_head) if kind]",
        "kinds = []",
    ),
    Mutant(
        "all heads are operated on",
        "surgery/table.py",
        "output[..., mine, :] = theatre.computed(kind).output[..., mine, :].to(own.dtype)",
        "output[...] = theatre.computed(kind).output.to(own.dtype)",
    ),
    Mutant("the model's own output is written over", "surgery/table.py", "output = own.clone()", "output = own"),
    Mutant(
        "a module stays on the table",
        "surgery/table.py",
        "if not patient.active and not patient.observers and not patient.touches:",
        "if False:",
    ),
    Mutant(
        "a nested operation replaces the outer one",
        "surgery/operating.py",
        "patient.active += (active[module],)",
        "patient.active = (active[module],)",
    ),
    Mutant(
        "leaving removes every operation",
        "surgery/operating.py",
        "tuple(one for one in patient.active if one is not active[module])",
        "()",
    ),
    Mutant(
        "not undone on an exception",
        "surgery/operating.py",
        "    finally:\n        take_up(active, remove)",
        "    except BaseException:\n        raise\n    else:\n        take_up(active, remove)",
    ),
    Mutant("hooks stay behind", "surgery/operating.py", "            hook.remove()", "            pass"),
    Mutant(
        "doing nothing is not refused",
        "surgery/operating.py",
        "    _refuse_nothing(model, tallies, whole.runs, is_asked_for=layers is not None)\n",
        "\n",
    ),
    Mutant("the configuration itself is changed", "surgery/registry.py", "ours = copy.copy(own)", "ours = own"),
    Mutant(
        "the name stays in the registry",
        "surgery/registry.py",
        "            AttentionInterface._global_mapping.pop(NAME, None)\n",
        "",
    ),
    Mutant(
        "sdpa without a mask sees the future",
        "surgery/registry.py",
        'if attention_mask is None and name == "sdpa"',
        'if attention_mask is None and name == "none"',
    ),
    Mutant(
        "the float mask is only added",
        "surgery/registry.py",
        "    return allowed, bias if bias.any() else None",
        "    return None, bias if bias.any() else None",
    ),
    Mutant(
        "the model's own scaling is ignored",
        "surgery/registry.py",
        "scaling = query.shape[-1] ** -0.5 if scaling is None else float(scaling)",
        "scaling = query.shape[-1] ** -0.5",
    ),
    Mutant(
        "softcap forgotten",
        "surgery/healthy.py",
        "    if cap is not None:\n",
        "    if False:\n",
    ),
    Mutant(
        "position bias forgotten",
        "surgery/healthy.py",
        "    if bias is not None:\n        parts",
        "    if False:\n        parts",
    ),
    Mutant("dropout is let pass", "surgery/registry.py", 'if options.get("dropout"):', "if False:"),
    Mutant(
        "grouped heads are tiled",
        "surgery/call.py",
        "(circuit.share(part, self.num_heads) for part in (given.key, given.value))",
        "(part.tile(1, self.num_heads // part.shape[-3], 1, 1) for part in (given.key, given.value))",
    ),
    Mutant(
        "a keyword that is not known is let pass",
        "surgery/registry.py",
        "name in read - _KNOWN",
        "False",
    ),
    Mutant(
        "a knocked-out head still gives half",
        "surgery/operations.py",
        "usual(weights, operands) * 0.0",
        "usual(weights, operands) * 0.5",
    ),
    Mutant(
        "the reversed mask shows padding", "surgery/operations.py", "    return mirrored & seen", "    return mirrored"
    ),
    Mutant(
        "uniform sees hidden keys",
        "surgery/operations.py",
        'torch.zeros_like(masked).masked_fill(masked == float("-inf"), float("-inf"))',
        "torch.zeros_like(masked)",
    ),
    Mutant(
        "temperature multiplies",
        "surgery/operations.py",
        "usual(masked / temperature, operands)",
        "usual(masked * temperature, operands)",
    ),
    Mutant("a fault outside attention is not refused", "surgery/operations.py", "    if beyond:\n", "    if False:\n"),
    Mutant(
        "the receipt counts one hidden cell in two",
        "surgery/receipt.py",
        'self.counts["hidden"] += int(hidden.sum())',
        'self.counts["hidden"] += int(hidden.sum()) // 2',
    ),
    Mutant(
        "leaks are not counted",
        "surgery/receipt.py",
        'self.counts["leaked"] += int((~call.operands.allowed & used).sum())',
        "pass",
    ),
    Mutant("any change is called none", "surgery/receipt.py", "return self.change > 0", "return False"),
    Mutant(
        "untouched heads are always called identical",
        "surgery/receipt.py",
        "identical and self.others_identical is not False",
        "True",
    ),
    Mutant(
        "key/value heads are numbered as query heads",
        "surgery/receipt.py",
        "head // group for head in heads",
        "head for head in heads",
    ),
    Mutant(
        "the next token's loss is not shifted",
        "surgery/inputs.py",
        "logits, targets = logits[:, :-1], targets[:, 1:]",
        "pass",
    ),
    Mutant("weights of any format are read", "surgery/loading.py", "    _require_safetensors(folder)\n", ""),
    Mutant(
        "the sweep forgets what is known",
        "surgery/sweep.py",
        "found = dict(known or {})",
        "found: dict[str, HeadResult] = {}",
    ),
]
