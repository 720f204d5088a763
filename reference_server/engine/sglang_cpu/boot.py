"""Run by a .pth file when the interpreter starts, in the server and in every process that SGLang spawns.

The torchvision of the index is built against another torch; its library of operators does not load, and then its import
fails where it describes an operator that nobody has declared. So the operators are declared just before that import.
Without torchvision nothing happens, and nothing is imported until then.
"""

from __future__ import annotations

import sys

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[object] = []  # a library that is collected takes its declarations with it


class Watcher:
    """An import hook that finds nothing itself: it waits for torchvision, acts once, and is gone."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Declare the operators when torchvision is about to be imported."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare()


def declare() -> None:
    """Declare those of the operators that this torch does not know."""
    import torch

    missing = [name for name in OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(name + SIGNATURE)
        _kept.append(library)


def install() -> None:
    """Wait for torchvision, unless somebody already does."""
    if not any(isinstance(finder, Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, Watcher())
