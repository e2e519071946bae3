"""What torch code asks of the host while it runs: transfers counted on any device, the CPU too.

A device works ahead of the program that feeds it until the program asks for a value: to branch on
it, to size an array by it, to print it. Every such question is counted here, so that a test on the
CPU shows what CUDA would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["count_transfers"]

# reads of a whole CPU tensor, which the dispatcher below never sees
_READS = {"numpy", "__array__", "tolist", "__dlpack__"}
# tensors made from what the host holds
_MAKERS = {"asarray", "as_tensor", "tensor", "from_numpy"}
# operations whose result, or whose result's size, depends on values
_WAITS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::equal",
    "aten::is_nonzero",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::unique_dim",
    "aten::bincount",
    "aten::repeat_interleave.Tensor",
}
_COPIES = {"aten::_to_copy", "aten::copy_", "aten::copy"}


@contextmanager
def count_transfers() -> Iterator[list[str]]:
    """Yield a list that gets the name of every transfer between host and device while inside.

    Counted: values read (`item`, `tolist`, `numpy`, `bool`), sizes that depend on values
    (`nonzero`, a mask as an index), tensors made from numbers of the host (`asarray`, `tensor`),
    and copies from one device to another. What a kernel does
    inside, such as a status that a CUDA factorisation reads back, is not seen. Needs torch.

    >>> import torch
    >>> with count_transfers() as transfers:
    ...     _ = float(torch.ones(3).sum())
    >>> transfers
    ['aten::_local_scalar_dense']
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[str] = []

    class Reads(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, function: Any, kinds: Any, args: Any = (), named: Any = None
        ) -> Any:
            name = getattr(function, "__name__", "")
            made = name in _MAKERS and args and not isinstance(args[0], torch.Tensor)
            read = name in _READS and args[0].device.type == "cpu"
            if made or (read and _place(args[0]) not in arrived):
                found.append(name)
            return function(*args, **(named or {}))

    class Waits(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(
            self, function: Any, kinds: Any, args: Any = (), named: Any = None
        ) -> Any:
            result = function(*args, **(named or {}))
            name = function._schema.name
            overload = function._schema.overload_name
            if name in _WAITS or f"{name}.{overload}" in _WAITS:
                found.append(name)
            elif name in _COPIES and _moves(name, args, result):
                found.append(name)
                if result.device.type == "cpu":  # what is read of it later has been counted
                    arrived[_place(result)] = result
            elif name == "aten::index" and any(
                index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
            ):
                found.append(name)
            return result

    arrived: dict[int, Any] = {}
    with Reads(), Waits():
        yield found


def _place(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _moves(name: str, args: Any, result: Any) -> bool:
    source = args[1] if name != "aten::_to_copy" else args[0]
    moved: bool = source.device.type != result.device.type
    return moved and source.ndim + result.ndim > 0  # a number from the host travels with the call
