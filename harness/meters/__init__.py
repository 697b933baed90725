"""Instruments beside a board: samples of power over time, no more. They know neither boards nor models."""
