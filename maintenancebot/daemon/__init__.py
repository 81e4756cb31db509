"""The service: keeps the schedule, takes alerts, and is honest about its own health."""
