"""What workloads are judged by: one file per metric, found by name or by the entry point `harness.metrics`."""
