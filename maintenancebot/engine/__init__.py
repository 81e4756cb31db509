"""Runs the way through: one host's work, the cycle over the fleet, and the taking up of what was unfinished."""
