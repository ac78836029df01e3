"""Measurements, side by side with the raw limit of the same run: ratios, never absolute claims."""
