"""A GPU that is not there: what a network would ask of one is counted, and nothing is computed.

Tensors have shapes, types and a device, and no content (torch's FakeTensorMode), so that networks
of their published size take seconds, and the code for a GPU is what runs.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

ATEN = torch.ops.aten
_ALLOCATING = {
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::new_empty",
    "aten::new_empty_strided",
}
_WITHOUT_WORK = {"aten::_unsafe_view", "aten::lift_fresh", "aten::is_pinned", "aten::set_"}
_OF_CUDNN = {"aten::lstm", "aten::gru"}
"""Made of others here, and one call of cuDNN on a GPU."""
_COPYING = {"aten::_to_copy", "aten::copy_"}
_WAITING = {
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::equal",
}
"""Operators whose result has a size or a value that the processor waits for."""


class FakeGpu(TorchDispatchMode):
    """Counts what runs on the GPU.

    Attributes
    ----------
    operators
        Operators that launch one kernel or several, by name: all that reach the GPU when those
        made of others are taken apart, but for views, allocations and copies to and from it.
    bytes_to_gpu, bytes_from_gpu
        Copied between the processor and the GPU.
    waits
        How often the processor waits for the GPU: for a value, for a result whose size is not
        known before, for a copy from it, or for all that a stream has to do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.bytes_to_gpu = self.bytes_from_gpu = self.waits = 0

    def synchronize(self) -> None:
        """Count that the processor waits for a stream."""
        self.waits += 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if func is ATEN._local_scalar_dense.default:
            self.waits += args[0].device.type == "cuda"
            return True  # a value that is no content: that all is finite
        if func is ATEN._pin_memory.default:
            return args[0]
        if "pin_memory" in kwargs:
            kwargs = kwargs | {"pin_memory": False}
        if func._schema.name not in _OF_CUDNN:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        self._count(func, args, kwargs, result)
        return result

    def _count(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        name = func._schema.name
        is_view = any(
            each.alias_info is not None and not each.alias_info.is_write
            for each in func._schema.returns
        )
        if is_view or name in _ALLOCATING | _WITHOUT_WORK:
            return
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        made = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        if name in _COPYING:
            source = given[-1] if name == "aten::copy_" else given[0]
            before, after = source.device.type, made[0].device.type
            size = source.numel() * source.element_size()
            if (before, after) == ("cpu", "cuda"):
                self.bytes_to_gpu += size
                return
            if (before, after) == ("cuda", "cpu"):
                self.bytes_from_gpu += size
                self.waits += not kwargs.get("non_blocking", False)
                return
        if any(each.device.type == "cuda" for each in given + made):
            self.operators[name] += 1
            self.waits += name in _WAITING


@contextmanager
def fake_gpu() -> Iterator[FakeGpu]:
    """Let torch take a GPU for there, within the block and in this thread."""
    counts = FakeGpu()
    with ExitStack() as stack:
        for target, name, stand_in in (
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
            (torch.cuda, "current_stream", lambda *_: counts),
            (torch.nn.Module, "_apply", _applied),
            (torch.Tensor, "numpy", _content),
        ):
            stack.enter_context(patch.object(target, name, stand_in))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(counts)
        yield counts


def on_gpu(arguments: Any) -> Any:
    """Tensors among some arguments, moved to the fake GPU; modules move by themselves."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to("cuda"), arguments)


def _applied(module: torch.nn.Module, function: Any, recurse: bool = True) -> torch.nn.Module:
    """Stand in for Module._apply, which keeps parameters and exchanges their content."""
    for each in module.modules() if recurse else [module]:
        for name, parameter in each._parameters.items():
            if parameter is not None:
                moved = function(parameter.detach())
                each._parameters[name] = torch.nn.Parameter(moved, requires_grad=False)
        for name, buffer in each._buffers.items():
            if buffer is not None:
                each._buffers[name] = function(buffer)
        if isinstance(each, torch.nn.LSTM):
            each._flat_weights = [getattr(each, name) for name in each._flat_weights_names]
    return module


def _content(tensor: torch.Tensor, *, force: bool = False) -> Any:
    """Return zeros: there is no content."""
    of_type = {torch.int64: np.int64, torch.int32: np.int32}.get(tensor.dtype, np.float32)
    return np.zeros(tuple(tensor.shape), of_type)
