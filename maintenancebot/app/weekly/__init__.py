"""The facts of a week, computed from what was recorded; nobody is asked, and nothing is written."""

from maintenancebot.app.weekly.facts import facts

__all__ = ["facts"]
