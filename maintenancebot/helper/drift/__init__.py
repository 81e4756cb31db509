"""Declared state: held against the host, captured from a good one, corrected, and taken back."""
