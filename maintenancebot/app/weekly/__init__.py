"""The facts of a week, computed from what was recorded; nobody is asked, and nothing is written."""

from maintenancebot.app.weekly.facts import as_told, facts

__all__ = ["as_told", "facts"]
