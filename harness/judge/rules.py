"""The version of the rules by which a cell's raw facts become its record: score, divergence, outcome, findings.

Raise it when the same facts would be judged otherwise. Every record says by which version it was judged, so that records of
two versions are not taken for a change of the model.
"""

from __future__ import annotations

RULES_VERSION = 5
