"""Run by a .pth file when the interpreter starts, in the server and in every process that SGLang spawns.

Two packages describe or look up operators of torch when they are imported, and fail where nobody has declared them: the
torchvision of the index, which is built against another torch so that its library does not load, and SGLang's own models of
some families (Qwen-VL among them), whose CPU operators are in the kernel package. So the operators are declared just before
that import, by name only: whoever calls one is told that it has no implementation. Nothing is imported until then.
"""

from __future__ import annotations

import sys

BOX = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
SCHEMAS = {
    "torchvision": (f"nms{BOX}", f"qnms{BOX}"),
    "sgl_kernel": (
        "fused_sigmoid_mul_cpu() -> ()",
        "fused_qk_gemma_rmsnorm_cpu() -> ()",
        "fused_qk_gemma_rmsnorm_with_gate_cpu() -> ()",
        "fused_qkvzba_split_reshape_cat_contiguous_cpu() -> ()",
    ),
}
_kept: list[object] = []  # a library that is collected takes its declarations with it


class Watcher:
    """An import hook that finds nothing itself: it waits for a package whose operators are declared, and acts once for each."""

    def __init__(self) -> None:
        self._waiting = set(SCHEMAS)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Declare the operators of a package that is about to be imported."""
        if name in self._waiting:
            self._waiting.remove(name)
            declare(name)


def declare(package: str) -> None:
    """Declare those of the package's operators that this torch does not know."""
    try:
        import torch
    except ImportError:  # the package itself will say what it misses
        return
    known = getattr(torch.ops, package)
    missing = [schema for schema in SCHEMAS[package] if not hasattr(known, schema.partition("(")[0])]
    if missing:
        library = torch.library.Library(package, "FRAGMENT")
        for schema in missing:
            library.define(schema)
        _kept.append(library)


def install() -> None:
    """Wait for the packages, unless somebody already does."""
    if not any(isinstance(finder, Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, Watcher())
