"""One invocation from what was asked to exported tables: plan, drive, judge, export."""
