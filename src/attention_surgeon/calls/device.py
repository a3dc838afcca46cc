"""Code that asks for a GPU is tried on the processor that is there."""

import contextlib
import inspect
import linecache
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def without_gpu(target: Any) -> Iterator[None]:
    """Where there is no GPU, let what asks for one get the processor: `.cuda()`, `.to("cuda")`, `device="cuda"`.

    Args:
        target: What is called; where its file names no GPU, only `.cuda()` is looked at, which costs nothing.
    """
    if torch.cuda.is_available():
        yield
        return
    kept = Tensor.cuda, nn.Module.cuda
    Tensor.cuda = nn.Module.cuda = _stay  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with _OnProcessor() if names_gpu(target) else contextlib.nullcontext():
            yield
    finally:
        Tensor.cuda, nn.Module.cuda = kept  # pyright: ignore[reportAttributeAccessIssue]


def names_gpu(target: Any) -> bool:
    """Whether the file of a target names a GPU, and not only where there is one."""
    try:
        file = inspect.getsourcefile(target if inspect.isroutine(target) or inspect.isclass(target) else type(target))
    except TypeError:
        return False
    return bool(_NAMED.search(_IF_THERE.sub("", "".join(linecache.getlines(file or "")))))


_NAMED = re.compile(r"[\"']cuda\b")
_IF_THERE = re.compile(r"[\"']cuda[:\d]*[\"']\s+if\s+[\w.]*is_available")


def _stay(self: Any, *_: Any, **__: Any) -> Any:
    return self


class _OnProcessor(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if _is_gpu(kwargs.get("device")):
            kwargs["device"] = "cpu"
        if getattr(func, "__name__", "") == "to":
            args = tuple("cpu" if _is_gpu(value) else value for value in args)
        return func(*args, **kwargs)


def _is_gpu(value: Any) -> bool:
    """Whether a value names a GPU: `"cuda"`, `"cuda:0"`, `torch.device("cuda")`."""
    return isinstance(value, str | torch.device) and str(value).split(":")[0] == "cuda"
