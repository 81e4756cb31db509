"""The quarantine: where deleted data lies, how it goes in, comes back, moves on and ends."""
