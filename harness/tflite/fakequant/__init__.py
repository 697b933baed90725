"""The float twin of a quantized model: what it means, computed without any integer kernel."""
