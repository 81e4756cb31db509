"""What is posted to Slack: the week's summary with its thread, one run, and what people are told at once."""

from maintenancebot.report.slack_blocks import APPROVE, DENY, REVIEWED, Payload
from maintenancebot.report.slack_run import of_report
from maintenancebot.report.slack_tellings import of_telling
from maintenancebot.report.slack_week import of_week

__all__ = ["APPROVE", "DENY", "REVIEWED", "Payload", "of_report", "of_telling", "of_week"]
