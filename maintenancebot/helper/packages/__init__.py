"""Packages with apt, dnf and zypper: looked at, upgraded, rolled back, repaired; the host's health, its reboots."""
