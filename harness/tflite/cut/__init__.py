"""Taking a .tflite apart and putting it together: a tree of its tables, sub-models between any tensors, models of one op."""
