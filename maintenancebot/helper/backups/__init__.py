"""Backups where they lie: which copies there are, what is in them, and trial restores."""
