"""Hardware-in-the-loop benchmark harness for quantized TensorFlow Lite models."""

__version__ = "0.1.0"
