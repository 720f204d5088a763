"""Stands in for SGLang's kernel package, which has no CPU build on the index. Installed as the package `sgl_kernel`.

SGLang imports a few helpers by name on every CPU, whether it will call them or not. The two that serving needs are here in
plain PyTorch; the others (speculative decoding, moves of the cache) exist by name and refuse to be called. No operator is
registered under `torch.ops.sgl_kernel`, and so every layer of SGLang takes its own plain PyTorch path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

__version__ = "0+stand.in"


def assign_req_to_token_pool_cpu(
    rows: Tensor, table: Tensor, starts: Tensor, ends: Tensor, slots: Tensor, _width: int
) -> None:
    """Write into each request's row of the table which cache slots its new tokens have; `slots` lists them back to back."""
    for row, begin, end, part in _windows(rows, starts, ends):
        table[row, begin:end] = slots[part].to(table.dtype)


def assign_extend_cache_locs_cpu(
    rows: Tensor, table: Tensor, starts: Tensor, ends: Tensor, slots: Tensor, _width: int
) -> None:
    """The way back: collect from the rows of the table the slots of a window of each request, back to back."""
    for row, begin, end, part in _windows(rows, starts, ends):
        slots[part] = table[row, begin:end].to(slots.dtype)


def _windows(rows: Tensor, starts: Tensor, ends: Tensor) -> Iterator[tuple[int, int, int, slice]]:
    """(row, begin, end, where the window lies when all are put one after the other) of each request."""
    taken = 0
    for row, begin, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield row, begin, end, slice(taken, taken + end - begin)
        taken += end - begin


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if not name.endswith("_cpu"):
        raise AttributeError(f"module 'sgl_kernel' (the stand-in of chat-conformance) has no attribute {name!r}")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"sgl_kernel.{name}: the CPU stand-in has no such kernel; serving does not need it")

    return refuse
