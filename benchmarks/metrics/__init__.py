"""Models and data of every kind that the harness has a metric for, made here."""
