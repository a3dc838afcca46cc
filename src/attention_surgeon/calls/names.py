"""What a name promises: `n_embd` is a width, `valid_lens` are lengths, `xa` is what is looked at.

People name the parameters of attention from one small stock of words. Two tables hold it, one for constructors and
configurations, one for calls; the first pattern that matches the whole name decides.
"""

import re
from collections.abc import Sequence
from typing import Literal, TypeVar

_Kind = TypeVar("_Kind")

Size = Literal[
    "width", "context_width", "out_width", "heads", "kv_heads", "head_size", "key_size", "value_size", "length",
    "dropout", "window", "cap", "config", "module", "tensor", "layer", "batch", "vocabulary", "hidden", "patch",
    "groups", "unknown",
]  # fmt: skip
Role = Literal[
    "x", "query", "key", "value", "context", "mask", "padding", "lengths", "causal", "cache", "use_cache", "positions",
    "cos", "sin", "freqs", "bias", "scale", "width", "heads", "dropout", "cap", "sinks", "window", "need_weights",
    "weights", "switch", "length", "start", "rotary", "ids", "rows", "columns", "bounds", "blocks", "other",
]  # fmt: skip

_SIZES: tuple[tuple[Size, str], ...] = (
    (
        "dropout",
        r"""
        .*drop(out)?(_?(p|prob|rate|ratio|probs|path))?| .*_drop(out)?(_.*)?| .*pdrop| p| drop.*|
        .*dropout.*
        """,
    ),
    (
        "config",
        r"""
        configs?| cfg| conf| args| params| hparams| hp| opt| options| c| model_args| model_config|
        configuration| .*_config| .*_cfg| hyperparams
        """,
    ),
    (
        "kv_heads",
        r"""
        (n|num|number_of)?_?(kv|key_value|k_v|local|query_groups|key)_?(heads?|groups?)|
        n(um)?_(query_)?groups| kv_?heads?| .*key_value_heads| n_local_heads| num_heads_kv| n_heads_kv|
        n_head_kv| n_kv| head_count_kv| num_kv| nkv
        """,
    ),
    (
        "head_size",
        r"""
        (d|dim|size)_?(per_)?head(_dim|_size)?|
        (attn_|attention_)?head_?(size|dim|width|features|channels|embd_dim|embed_dim|hidden_dim)|
        .*head_(dim|size|width|channels)| dims?_per_head| dim_heads?| d_?h(ead)?| d_?kv| hs| h_size|
        (rope|rotary|rot)_?(n_?elem|n?dims?|size)| num_head_channels| size_per_head| channels_per_head| depth_per_head|
        c_hidden
        """,
    ),
    (
        "heads",
        r"""
        (n|num|no|number_of|number|nb|attn|attention|total)?_?(of_|q_|query_|attn_|attention_|
        self_attn_)?n?_?heads?(_num|_count|_number|s)?| n?h| nhead| n_?h| nb_heads?| num_attention_heads|
        num_attn_heads| n_heads?_q| heads?_count| multi_?head| head_num| num_multi_heads?| a
        """,
    ),
    (
        "value_size",
        r"""
        d_?v| dim_?v(alue)?| value_?(dim|size|width|features|head_dim|channels)| v_(dim|size)| vdim| v_head_dim| dv|
        d_values?| head_v_dim
        """,
    ),
    (
        "key_size",
        r"""
        d_?k| d_?q| d_?qk| dim_?([kq]|key|query)| [kq]_(dim|size)| qk_dim|
        (key|qk|query_key)_?(dim|size|width|features|channels)| dk| d_keys?| d_quer(y|ies)|
        d_attn| attn_dim| attention_dim| inner_dim| proj_dim| att_dim| att_size|
        d_attention
        """,
    ),
    (
        "context_width",
        r"""
        (context|cross|memory|cond|enc|encoder|kv|text|key_value|crossattn|source|src|ctx|visual|vision|media|
        audio)(_attention)?_?(d|
        dim|features|width|channels|embed_dim|hidden_size|size|input_dim)| kdim|
        d_?(context|cond|cross|mem|memory|enc|kv_in)| cross_attention_dim|
        dim_(context|kv|cond|cross|visual|vision|media|audio|text|enc|memory)| c_[kv]|
        kv_(dim|in_dim|channels)
        """,
    ),
    (
        "out_width",
        r"""
        (d|dim|n|size|num|emb|embed|feat)?_?(out|output)_?(dim|d|size|features|channels|width|feats|
        put_dim)?| dim_out| d_out(put)?| output_(dim|size)| out_(dim|features|channels)
        """,
    ),
    (
        "window",
        r"""
        .*window(_size|_len|_length)?| window| .*sliding.*| one_sided| local_size| radius| .*lookback|
        dilation| dilation_rate| attn_span| block_radius| neighbou?rs
        """,
    ),
    ("cap", r".*cap(ping)?| .*soft_?cap.*| .*logit_?cap.*| .*clip_?logits?"),
    (
        "hidden",
        r"""
        (d_?|dim_?)?(ff|ffn|feed_?forward|mlp|inter(mediate)?|ffwd)(_dim|_size|_hidden|_hidden_dim)?|
        intermediate_size| mlp_ratio| hidden_features| d_ff| dff| ffn_.*
        """,
    ),
    ("vocabulary", r".*vocab.*| num_tokens| n_tokens| num_embeddings"),
    (
        "layer",
        r"""
        (layer|block|head)_?(idx|id|index|number|num|i|no)| idx| layer| index| n_?layers?|
        num_(hidden_)?layers| depth| n_blocks?| num_blocks?| block_idx| layer_id| layers
        """,
    ),
    ("batch", r"(max_)?(batch|bs|bsz)(_?size)?| max_batch(_size)?| b"),
    (
        "length",
        r"""
        (max_?|n_?|num_?|block_?|fixed_?|)(seq|sequence|ctx|context|pos|position|positions|
        position_embeddings|token|tokens|time|block|src|target|tgt|text)s?_?(len|length|size|ctx|embeddings|
        steps|max)?(_?(max|len))?| max_?(len|length|t|n|seqlen|context|size|tokens|time)| block_?size|
        n_ctx| ctx_?(len|size)?| t| seq| max_position.*| window_length| sequence_length| num_patches|
        n_?patch(es)?| n_positions| seq_length| maxlen| ntoken| length| original_max_position_embeddings|
        max_relative_positions?_len| context_window| n_seq| num_positions
        """,
    ),
    (
        "width",
        r"""
        (d|dim|n|num|size|input|in|embed|emb|model|hidden|q|query|token|feature|features|state|channels?|
        units|width|feat|key_query|latent|x|attn_in|base|inner|core|residual)_?(model|dim|dims|d|size|sizes|
        in|embd?|embed|embedding|embeddings|embed_dim|state|states|channels?|features?|hiddens?|units?|
        width|feats|dimension|emb_dim|input_dim|num|in_dim|model_dim|attn|planes|nodes)?s?|
        embed(ding)?_?(dim|size|dimension|d|width)s?|
        (n|d|num)_?(embd?|embed|embedding|model|hiddens?|units?|channels?|features?|filters|input|in|state|
        inputs|x|emb)| c_?(in|m|q|x)?| nx| nf| dmodel| inplanes| planes| in_planes| embed_size|
        hidden_?(size|dim|d)?| e| ch| chan| in_ch| input_size| word_dim| k|
        dim_?(in|model|embed|q|x|hidden|input)?| emb_?(dim|size)?| w| model_?(dim|size|d|width)| hid_dim|
        hidden_size| qdim| num_hiddens?| attn_embed_dim| f| filters| word_embedding_dim
        """,
    ),
    ("groups", r"num_?groups| groups"),
    (
        "patch",
        r"""
        patch(_?size)?| image_?size| img_?size| resolution| input_resolution| spa[ct]ial_?(dim|size)|
        (fmap|feat|feature_map|grid|halo|num_?slots)_?(size|res|resolution)?
        """,
    ),
)
_MODULE = r"""
    (w|to|linear|proj|fc|dense)_?(q|k|v|o|qkv|kv|out|query|key|value)(_proj)?|
    (q|k|v|o|out|output|query|key|value|qkv)_?(proj|projection|linear|net|layer|norm)
"""
_TENSORS = r"""
    w_?(q|k|v|o|qkv|query|key|value|out)(_?weights?)?| (q|k|v|o|query|key|value)_?(w|weights?|matrix)|
    weights?_?(q|k|v|o)| w[qkvo]| .*_weights?
"""

_ROLES: tuple[tuple[Role, str], ...] = (
    ("padding", r".*(key_padding|pad|padding)_?(mask|masks)?| .*(key_padding|pad_mask|padding_mask).*"),
    ("use_cache", r"use_?cache| .*use_(kv_)?cache| return_(kv_)?cache| output_cache"),
    (
        "cache",
        r"""
        .*cache(d|_params|s)?| .*past(_kv|_key_values?|_states?|_key|_value)?| layer_past| .*past_key.*|
        kv_cache| incremental_state| mems?_cache| state| prev_kv| presents?
        """,
    ),
    (
        "lengths",
        r"""
        .*(valid|seq|src|key|kv|q|query|input|token|sequence|actual)?_?len(s|gths)$| valid_lens?| lens|
        lengths| .*_lens| seqlens?
        """,
    ),
    ("bounds", r"cu_?seq_?len(s)?.*| cu_.*| offsets| seq_start_loc.*| indptr"),
    (
        "blocks",
        r"""
        block_?(size|m|n|q|k|kv|q_size|k_size|c|r)?(_[mnqk])?|
        (q|k|kv|row|col|query|key)?_?(block|chunk|tile|bucket)_?(size|len)?| b[rc]|
        num_(chunks|splits|stages|warps)
        """,
    ),
    (
        "length",
        r"""
        (max_?|n_?|num_?)?(seq|sequence|q|k|kv|query|key|tgt|src|trg|target|context)?_?(seq)?_?(len|length|
        size|l|seqlen)(_?(q|k))?| max_?seq_?len_?(q|k)?| max_seqlen_.*| sz| size| t| seq| n| length|
        n_tokens| num_tokens| prefix_len(gth)?| total_len| l
        """,
    ),
    (
        "causal",
        r"""
        (is_?|use_?|apply_?)?(causal|autoregressive)(_mask(ing|ed)?)?| causality| future_mask(ed)?|
        look_ahead| mask_future
        """,
    ),
    (
        "need_weights",
        r"""
        (need|return|output|with|average|get|keep|give|show|need_head)_?(attn|attention|attentions?|
        head)?_?(weights?|attn|attentions?|probs?|scores?|maps?)(_map)?| output_attentions| need_weights|
        average_attn_weights| need_head_weights| return_attn.*| return_att.*
        """,
    ),
    (
        "rotary",
        r"""
        (rotary|rope|position)_?(pos_?)?(emb|embs|embedding|embeddings|embed|cache|tables?)| rope| rotary|
        pos_?embs?_?tuple| cos_sin| pe
        """,
    ),
    (
        "bias",
        r"""
        .*(attn|attention|position|pos|rel|relative|rel_pos|relative_position|alibi|edge|pair|
        score)_?_?(bias|biases|enc_bias)| bias(es)?| alibi| .*_bias| slopes| rel(ative)?_pos(ition)?
        """,
    ),
    ("mask", r".*mask(s|ed|ing)?| .*_mask_.*| .*mask.*| can_attend| allowed"),
    ("cos", r"(freqs?_|rope_|rotary_|pos_)?cos(ine)?(_.*|ines?)?"),
    ("sin", r"(freqs?_|rope_|rotary_|pos_)?sin(e)?(_.*|s)?"),
    (
        "freqs",
        r"""
        freqs?(_?cis|_complex|uencies|_ci)?| .*freqs_?(cis|complex)?| rope_?freqs?| theta_freqs
        """,
    ),
    (
        "start",
        r"""
        (start|cache|past|begin|kv|prev)_?(pos|position|idx|index|len|length)| offset| pos_offset| q_offset|
        seq_offset| step
        """,
    ),
    (
        "positions",
        r"""
        (input_?|cache_?|token_?)?(pos|positions?)(_?ids?|ition|itions|_indices)?| position_?ids?|
        cache_position| (kv_|cache_)?write_(ind(ices|ex)|positions?)
        """,
    ),
    ("sinks", r".*sinks?"),
    ("cap", r".*cap(ping)?| .*soft_?cap.*"),
    ("window", r".*window(_size|_left)?| .*sliding.*| window"),
    ("dropout", r".*drop(out)?(_p|_rate|_prob|_layer)?| dropout_?p| p| p_drop(out)?| drop.*"),
    (
        "scale",
        r"""
        .*scale| scaling| .*scal(e|ing)_?(factor)?| temperature| temp| tau| softmax_scale| sm_scale|
        sqrt_dk?
        """,
    ),
    ("heads", r"(n|num|number_of|nb)?_?(attn_|attention_|kv_|q_)?heads?| h| n_?h| nhead"),
    (
        "width",
        r"""
        d_?k| dk| d| d_?(model|head|q|v)| head_?(dim|size)| dim| embed_dim| emb_dim| d_head| dim_head|
        hidden_size| key_dim
        """,
    ),
    (
        "weights",
        r"""
        c_(attn|proj|fc)| (w|W)_?(q|k|v|o|qkv|query|key|value|out|0|kv|output)(_?(w|weights?|proj))?|
        w[qkvo](_.*)?|
        (q|k|v|o|qkv|query|key|value|out|output|in)_?(w|weights?|proj|projection|proj_weight|matrix|kernel|
        linear)| weights?_?(q|k|v|o|out|qkv|query|key|value|0)?| in_proj_weight| params| .*_weights?|
        .*weight
        """,
    ),
    (
        "ids",
        r"""
        (input_|token_|src_|doc(ument)?_|segment_|seq_|sequence_)ids?| ids| tokens| doc_ids| trg|
        tgt_tokens| src_tokens| segment_ids| documents| docs
        """,
    ),
    (
        "switch",
        r"""
        (use|is|enable|return|do|with|no|add|training|train|deterministic|inplace|is_training)(_.*)?|
        training| .*enable_gqa| gqa
        """,
    ),
    (
        "query",
        r"""
        (x|input|inputs|in|h|hidden|hidden_states|pre)?_?_?q(uery|ueries|s|ry|uerys)?(_?(states?|input|
        inputs|in|x|tensor|layer|seq|vec|tokens|data|emb|feats?|features?))?| inputs?_q(uery)?| xq| tgt|
        target| decoder_.*| dec_.*| latents?| tgt_.*
        """,
    ),
    (
        "key",
        r"""
        (x|input|inputs|in|h|hidden|pre)?_?_?k(ey|eys|s)?(_?(states?|input|inputs|in|x|tensor|layer|seq|vec|
        tokens|data|emb))?| inputs?_k(ey)?| xk
        """,
    ),
    (
        "value",
        r"""
        (x|input|inputs|in|h|hidden|pre)?_?_?v(alue|alues|al|als|s)?(_?(states?|input|inputs|in|x|tensor|
        layer|seq|vec|tokens|data|emb))?| inputs?_v(alue)?| xv
        """,
    ),
    (
        "context",
        r"""
        (encoder|enc|cross|memory|mem|cond|conditioning|context|ctx|key_?value|kv|source|src|text|encoded|
        other|cross_attn|encodings?|audio|image|external|media|visual|vision)_?(_?(hidden_?states?|out|outputs?|outs|states?|
        emb|embs|embeddings?|inputs?|features?|feats?|seq|context|x|tokens|memory))?| inputs?_kv| kv| y| xa|
        x_?2| x_?kv| context| ctx| memory| x_cond| x_context| x_(enc|src|other|y)| key_value_states| z| c
        """,
    ),
    ("columns", r"w| width| wp| ww"),
    ("rows", r"height| hp| wh| hh"),
    (
        "x",
        r"""
        x| x_?1| x_?in| inputs?(_.*)?| hidden(_?states?)?| h| src| seq| sequence| emb(edding|eddings|s)?|
        features?| feats?| feat| tokens?| data| inp| img| image| .*hidden_states.*| tensor| states?| batch|
        in_?feats?| u| residual| target_states| embs?| X| x_.*| .*_x| in_| tok| word.*| sentence
        """,
    ),
)


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case: `nHeads` and `n_heads` are the same two.

    >>> words_of("numKVHeads")
    ('num', 'kv', 'heads')
    """
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def plain(name: str) -> str:
    """Return the name as the tables spell it: words in lower case joined by `_`."""
    return "_".join(words_of(name)) if len(name) > 1 else name.lower()


_OF_A_PART = ("vit", "lm", "llm", "gpt", "bert", "enc", "encoder", "dec", "decoder", "text", "vision", "image", "audio")
"""What the fields of a configuration for several parts of a model begin with."""


def size_of(name: str) -> Size:
    """Return what a constructor's parameter, or a configuration's field, stands for.

    >>> size_of("num_attention_heads"), size_of("d_model"), size_of("vit_n_heads"), size_of("whatever")
    ('heads', 'width', 'heads', 'unknown')
    """
    found = _first((*_SIZES, ("module", _MODULE), ("tensor", _TENSORS)), name)
    words = words_of(name)
    if found is None and words and words[0] in _OF_A_PART:
        found = _first(_SIZES, "_".join(words[1:]))
    return found or "unknown"


def role_of(name: str) -> Role:
    """Return what a parameter of a call stands for.

    >>> role_of("queries"), role_of("valid_lens"), role_of("src_key_padding_mask"), role_of("encoder_hidden_states")
    ('query', 'lengths', 'padding', 'context')
    """
    return _first(_ROLES, name) or "other"


def _first(table: Sequence[tuple[_Kind, str]], name: str) -> _Kind | None:
    return next((kind for kind, pattern in table if _matches(pattern, name)), None)


def _matches(pattern: str, name: str) -> bool:
    return any(re.fullmatch(pattern, spelled, re.VERBOSE) for spelled in (plain(name), name.lower().strip("_")))
