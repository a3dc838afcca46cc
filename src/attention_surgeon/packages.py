"""What to do about a module that cannot be imported.

Anybody may own a name in the package index, so nothing is ever said to be installed but what is known here: `utils`
and `models` are mostly files of one's own, and a misspelt name may be a trap.
"""

from collections.abc import Mapping
from difflib import get_close_matches

_SAME = """
accelerate beartype bitsandbytes chex click datasets deepspeed dgl diffusers einops equinox fairscale fire flax jax
jaxlib jaxtyping keras lightning loguru matplotlib networkx nltk numba numpy omegaconf optax pandas peft pydantic
requests rich safetensors scipy seaborn sentencepiece spacy tensorboard tensorflow tiktoken timm tokenizers torch
torchaudio torchvision tqdm transformers triton wandb xformers
""".split()

_PACKAGE_OF: Mapping[str, str] = {name: name for name in _SAME} | {
    "PIL": "pillow",
    "absl": "absl-py",
    "causal_conv1d": "causal-conv1d",
    "cv2": "opencv-python",
    "fancy_einsum": "fancy-einsum",
    "flash_attn": "flash-attn",
    "haiku": "dm-haiku",
    "huggingface_hub": "huggingface-hub",
    "hydra": "hydra-core",
    "local_attention": "local-attention",
    "mamba_ssm": "mamba-ssm",
    "ml_collections": "ml-collections",
    "opt_einsum": "opt-einsum",
    "pytorch_lightning": "pytorch-lightning",
    "rotary_embedding_torch": "rotary-embedding-torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch_geometric": "torch-geometric",
    "x_transformers": "x-transformers",
    "yaml": "pyyaml",
}
"""What one installs to import a module."""


def how_to_get(module: str) -> str:
    """Return the way out for a module that is not installed, as the end of a sentence.

    >>> how_to_get("sklearn")
    'install it with `pip install scikit-learn`'
    >>> how_to_get("einopps")
    'did you mean einops (`pip install einops`)?'
    >>> how_to_get("utils")
    'if it is your own, start in the folder that holds it'
    """
    top = module.partition(".")[0]
    if top in _PACKAGE_OF:
        return f"install it with `pip install {_PACKAGE_OF[top]}`"
    near = get_close_matches(top, _PACKAGE_OF, n=1, cutoff=0.85)
    if near:
        return f"did you mean {near[0]} (`pip install {_PACKAGE_OF[near[0]]}`)?"
    return "if it is your own, start in the folder that holds it"
