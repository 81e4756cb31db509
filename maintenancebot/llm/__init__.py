"""Asks the model: prompts, what may be sent, what may be believed. It words and ranks; it cannot act."""
