"""What to ship on a device: which cells may be named, which scores a test can tell apart, and one pick with its reasons."""
