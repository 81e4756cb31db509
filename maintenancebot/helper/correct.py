"""Corrects one item: checked again, validated, installed whole, measured; put back if it goes wrong."""


def correct(step, out):
    """The outcome of the step's one change."""
    return []


def recall(change):
    """What became of a correction whose outcome was never recorded."""
    return {"state": "unknown", "reason": "unfinished", "detail": "", "measured": {}}
