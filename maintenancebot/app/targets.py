"""Who is told, by configuration and secrets: the log always, Slack, a mailbox and an address where they are given."""

from __future__ import annotations

from urllib.parse import urlsplit

from maintenancebot.app.context import Context
from maintenancebot.delivery.email import Mailbox
from maintenancebot.delivery.log import Log
from maintenancebot.delivery.parcel import Target
from maintenancebot.delivery.slack_api import SLACK, SlackApi
from maintenancebot.delivery.slack_webhook import SlackWebhook
from maintenancebot.delivery.webhook import Webhook
from maintenancebot.settings.telling import LOOPBACK


def targets(context: Context) -> tuple[Target, ...]:
    """Everybody who is told."""
    notify, secrets = context.settings.notify, context.secrets
    found: list[Target] = [Log()]
    if (slack := _slack(context)) is not None:
        found.append(slack)
    if notify.email is not None:
        found.append(Mailbox(notify.email, secrets.email_password, context.settings.name))
    if notify.webhook is not None:
        found.append(Webhook(notify.webhook.url, secrets.notify_token))
    return tuple(found)


def missing(context: Context) -> str:
    """What keeps a configured target from being told, for people; empty where nothing is missing."""
    slack, secrets = context.settings.slack, context.secrets
    wanted = slack is not None or secrets.slack_token or secrets.slack_webhook_url
    if not wanted or _slack(context) is not None:
        return ""
    if secrets.slack_webhook_url and not _is_protected(secrets.slack_webhook_url):
        return "Slack is not told: the secret `slack_webhook_url` is no address that begins with https://"
    if secrets.slack_token:
        return "Slack is not told: `slack.channel` is missing, to which the bot of `slack_token` posts"
    return "Slack is not told: give the secret `slack_token` or `slack_webhook_url`"


def _slack(context: Context) -> Target | None:
    """By the bot's token where there is one: it can look what arrived, and makes threads."""
    slack, secrets = context.settings.slack, context.secrets
    if slack is not None and slack.channel is not None and secrets.slack_token:
        return SlackApi(secrets.slack_token, slack.channel, slack.base_url or SLACK)
    return SlackWebhook(secrets.slack_webhook_url) if _is_protected(secrets.slack_webhook_url) else None


def _is_protected(address: str) -> bool:
    """Whether an address of Slack's can be used: nothing of it must travel in clear text."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
