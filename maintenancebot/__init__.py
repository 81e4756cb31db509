"""Looks after fleets of Linux servers over SSH: what it lists is what it does, and what it says is what it measured."""

__version__ = "0.1.0"
