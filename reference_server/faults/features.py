"""Faults of tools, formats, log probabilities, models, images and sessions."""

from __future__ import annotations


# structured output


# log probabilities


# models


# vision


# sessions
