"""Draws that a seed decides, where SGLang has none: it honours seeds only with kernels that no CPU has.

SGLang lets a request bring a function that changes the scores of the next token. Ours draws that token itself, with a number that
follows from the seed and from how many were drawn before, and leaves nothing else to choose. It runs in SGLang's scheduler.
"""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["SeededDraw", "parameters"]


def parameters(seed: int, temperature: float, top_p: float) -> dict[str, Any]:
    """What the draws of one answer need to know."""
    return {"seed": seed, "temperature": temperature, "top_p": top_p, "drawn": 0}


class SeededDraw:
    """Leaves one token in each row of scores. SGLang makes it without arguments."""

    def __call__(self, logits: Any, params: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - tensors of torch
        """Draw for every row, each with the parameters of its request, in which the draws are counted."""
        for row, given in zip(logits, params, strict=True):
            number = Random(f"{given['seed']} {given['drawn']}").random()  # noqa: S311 - a draw that can be repeated, no secret
            given["drawn"] += 1
            token = drawn(row, given["temperature"], given["top_p"], number)
            row.fill_(-float("inf"))
            row[token] = 0.0
        return logits


def drawn(scores: Any, temperature: float, top_p: float, number: float) -> int:  # noqa: ANN401 - a tensor of torch
    """The token that a number from 0 to 1 means: the likely ones first, as many as make up `top_p`, each as long as it is likely."""
    shares, tokens = (scores.float() / temperature).softmax(-1).sort(descending=True)
    sums = shares.cumsum(-1)
    kept = sums[: int(((sums - shares < top_p) & (shares > 0)).sum())]
    return int(tokens[min(int((kept <= number * float(kept[-1])).sum()), len(kept) - 1)])
