"""What raw facts mean: a cell's measurement becomes its record, by rules that can be applied again later."""
