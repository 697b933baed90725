"""What studies found, as tables, words and drawings."""
