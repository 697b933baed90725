"""Programs onto a board: by a debug probe, or by whatever tool the user flashes with. Knows neither boards nor models."""
