"""Drives a device and this machine for an explanation. What the numbers mean is `harness.explain`'s."""

from harness.explaining.explain import ExplainOptions, explain_cell, explain_model

__all__ = ["ExplainOptions", "explain_cell", "explain_model"]
