"""Search: a better variant of a model for a device, proposed by cheap errors, decided by the device, proven on other samples."""
