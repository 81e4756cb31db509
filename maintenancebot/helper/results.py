"""The values that probe and step operations return."""


class Result:
    """How a task's probe ended: `state` is ok, unknown or skipped; `reason` is of the controller's closed list."""

    def __init__(self, state="ok", reason="", detail="", facts=None):
        self.state = state
        self.reason = reason
        self.detail = detail
        self.facts = facts or {}


def outcome(change_id, state, reason="", detail="", **measured):
    """What became of one change: state is done, nothing, skipped, failed or unknown."""
    return {"change": change_id, "state": state, "reason": reason, "detail": detail[:1000], "measured": measured}


def outcomes(changes, state, reason="", detail=""):
    """The same outcome for each change of a step."""
    return [outcome(change["id"], state, reason, detail) for change in changes]
