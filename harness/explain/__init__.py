"""Where a model loses what, and why: pure functions of models, arrays and counts. Nothing here drives a device."""
