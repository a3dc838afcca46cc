"""Wrong calls of the operating table, each with the whole message it gives."""

from tests.bad_call import BadCall

_MODEL = "models.Decoder(models.DecoderConfig(vocabulary_size=11)).eval()"

BAD_CALLS = [
    BadCall(
        f"surgery.operate({_MODEL}, 'no_scales').__enter__()",
        "OptionError",
        "operate: no operation is called 'no_scales'; did you mean no_scale or sink_scaled?",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 3).__enter__()",
        "ArgumentTypeError",
        "operate: fault is a int, expected a name such as 'no_scale', a Fault or an Operation.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'projection_shared').__enter__()",
        "SurgeryError",
        "projection_shared cannot act on a model: it changes the projections, which the model applies before and after "
        "its attention function.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'mutates_inputs').__enter__()",
        "SurgeryError",
        "mutates_inputs cannot act on a model: it is about the callable (its arguments, its dtype, its memory of the "
        "last call), not about the five steps.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'causal_missing').__enter__()",
        "SurgeryError",
        "causal_missing cannot act on a model: it changes a mask made inside attention; a model hands its mask in: use "
        "drop_mask or reverse_mask.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'scores_returned').__enter__()",
        "SurgeryError",
        "scores_returned cannot act on a model: it changes only what is returned to be looked at, which changes "
        "nothing in a model.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'temperature:0').__enter__()",
        "OptionError",
        "operate: temperature needs a number above 0 after a colon, such as temperature:2.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform:2').__enter__()",
        "OptionError",
        "operate: uniform takes no number; these do: temperature:2, look_back:1.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', layers=2).__enter__()",
        "OptionError",
        "layers: there is no layer 2; this model has layers 0 to 1.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', layers='decoder').__enter__()",
        "OptionError",
        "layers is 'decoder', expected numbers from 0, such as 2,5 or 0-3.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', heads=[1, 4]).__enter__()",
        "OptionError",
        "heads: there is no head 4 in layer 0; it has 4 query heads, 0 to 3.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', heads='3-1').__enter__()",
        "OptionError",
        "heads is '3-1', expected numbers from 0, such as 2,5 or 0-3.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', heads=-1).__enter__()",
        "OptionError",
        "heads: found -1, expected numbers from 0, such as [2, 5] or '0-3,7'.",
    ),
    BadCall(
        f"surgery.operate({_MODEL}, 'uniform', heads=1.5).__enter__()",
        "ArgumentTypeError",
        "heads is a float, expected numbers from 0, such as [2, 5] or '0-3,7'.",
    ),
    BadCall(
        "surgery.operate(torch.nn.Linear(3, 5), 'uniform').__enter__()",
        "SurgeryError",
        "Linear holds no attention layer to operate on: nothing in it calls the attention registry of transformers, is a "
        "layer of attention_surgeon.nn, or is of a class called ...Attention..., Attn or MHA.",
    ),
    BadCall(
        "surgery.attention_layers('gpt2')",
        "ArgumentTypeError",
        "attention_layers: model is a str, expected a torch.nn.Module such as a model of transformers; load one with "
        "surgery.load_model(...).",
    ),
    BadCall(
        f"surgery.capture({_MODEL}, 'the cat')",
        "OptionError",
        "a text needs a tokenizer: pass tokenizer=..., or ids in place of the text.",
    ),
    BadCall(
        f"surgery.capture({_MODEL}, torch.ones(2, 3, dtype=torch.long))",
        "ShapeError",
        "token ids have shape (2, 3), expected (n,) or (1, n): one text at a time.",
    ),
    BadCall(
        f"surgery.capture({_MODEL}, 7)",
        "ArgumentTypeError",
        "text is a int, expected a text, token ids or a mapping of arguments.",
    ),
    BadCall(
        f"surgery.capture({_MODEL}.train(), [1, 2])",
        "OptionError",
        "the model is in training mode, in which no two runs are the same; call model.eval() first.",
    ),
    BadCall(
        f"surgery.before_and_after({_MODEL}, 'uniform', [1, 2], most=0)",
        "OptionError",
        "predict: most is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "surgery.load_model(None)",
        "ArgumentTypeError",
        "load_model: name is None, expected a folder or an id of the hub as text.",
    ),
    BadCall(
        "surgery.load_model('no such model!')",
        "FileAccessError",
        "there is no folder no such model!, and it is no id of the hub; built-in: writer, minilm, tiny.",
    ),
    BadCall(
        f"surgery.circuits({_MODEL}).composition('X')",
        "OptionError",
        "circuits: composition by 'X', expected 'Q', 'K' or 'V'.",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric='logit(4)', what='y')",
        "OptionError",
        "patch: what is 'y', expected one of z, pattern, q, k, v, head_out, residual.",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric='logits(4)')",
        "OptionError",
        "metric is 'logits(4)', expected terms joined by + and -, such as 'logit( mat) - logit( dog)', 'logprob( mat)' or 'prob( mat)'.",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric='logit( cat)')",
        "OptionError",
        "metric: ' cat' needs a tokenizer; without one, give a number: logit(17).",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric='logit(11)')",
        "OptionError",
        "metric: 'logit(11)' names 11, and the model has 11 outcomes.",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric=7)",
        "ArgumentTypeError",
        "metric is a int, expected a function of the logits or a text such as 'logit( mat) - logit( dog)', 'logprob( mat)' or 'prob( mat)'.",
    ),
    BadCall(
        f"surgery.patch({_MODEL}, [1, 2], [1, 3], metric='logit(4)', positions=2)",
        "OptionError",
        "positions: there is no position 2; the text has 2, 0 to 1.",
    ),
    BadCall(
        f"surgery.ablate({_MODEL}, [1, 2], metric='logit(4)', by='nothing')",
        "OptionError",
        "ablate: by is 'nothing', expected 'zero', 'mean' or 'resample'.",
    ),
    BadCall(
        f"surgery.ablate({_MODEL}, [1, 2], metric='logit(4)', by='resample')",
        "OptionError",
        "ablate: by='resample' needs reference=, a text of as many tokens.",
    ),
    BadCall(
        f"surgery.ablate({_MODEL}, [1, 2], metric='logit(4)', what='pattern')",
        "OptionError",
        "ablate: a pattern has no zero and no mean that is a pattern; use what='z', or by='resample'.",
    ),
    BadCall(
        f"surgery.capture_batch({_MODEL}, 'cat')",
        "ArgumentTypeError",
        "capture_batch: texts is a str, expected a list of texts or of token ids.",
    ),
    BadCall(
        f"surgery.path_patch({_MODEL}, [1, 2], [1, 3], metric='logit(4)', to=(1, 0), through='z')",
        "OptionError",
        "path_patch: through is 'z', expected 'q', 'k' or 'v'.",
    ),
    BadCall(
        f"surgery.written({_MODEL}, [3, 1, 4], 0)",
        "OptionError",
        "written: count is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        f"surgery.capture({_MODEL}, [3, 1, 4]).of_stack('cross')",
        "OptionError",
        "no stack 'cross' was captured; there are one stack only, which has no name.",
    ),
    BadCall(
        f"surgery.over_patches(surgery.capture({_MODEL}, [3, 1, 4]).layer(0), 2, 2)",
        "ShapeError",
        "over_patches: layer 0 has 3 keys, fewer than 2 x 2 patches.",
    ),
    BadCall(
        f"surgery.Patches({_MODEL})",
        "SurgeryError",
        "Decoder says no image_size and patch_size, so it reads no picture.",
    ),
]
