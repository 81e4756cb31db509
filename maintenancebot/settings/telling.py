"""How people are told: the model that words a summary, Slack, e-mail, a webhook. Secrets are not among these."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from maintenancebot.settings.values import HttpUrl, Positive, Strict, Text, refusal

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Prices(Strict):
    """What the model costs, in dollars for a million tokens."""

    input: float = Field(default=1.0, ge=0, le=10_000, description="Dollars for a million input tokens.")
    output: float = Field(default=5.0, ge=0, le=10_000, description="Dollars for a million output tokens.")


class Spending(Strict):
    """The most that calls of the model may use; reserved before each call, never exceeded."""

    tokens_per_call: Positive = Field(default=20_000, description="Input and output tokens of one call.")
    tokens_per_hour: Positive = Field(default=60_000, description="Tokens in an hour.")
    tokens_per_day: Positive = Field(default=200_000, description="Tokens in a day.")
    tokens_per_month: Positive = Field(default=2_000_000, description="Tokens in thirty days.")
    dollars_per_day: float = Field(default=1.0, gt=0, le=100_000, description="Dollars in a day.")
    dollars_per_month: float = Field(default=10.0, gt=0, le=100_000, description="Dollars in thirty days.")


class Llm(Strict):
    """A model that words summaries and may order what the rules allow; its key is the secret `llm_api_key`."""

    model: Text = Field(default="claude-haiku-5-5", description="Id of the model, as its endpoint calls it.")
    base_url: HttpUrl | None = Field(default=None, description="An endpoint that speaks Anthropic's wire format.")
    max_tokens: int = Field(default=1024, ge=64, le=8192, description="The longest answer.")
    timeout_seconds: int = Field(default=60, ge=1, le=600, description="Seconds that one call may take.")
    prices: Prices = Field(default=Prices(), description="What the model costs.")
    caps: Spending = Field(default=Spending(), description="The most that calls may use.")
    rank: bool = Field(default=False, description="Whether it may order the ways to heal a disk that are allowed.")


class Slack(Strict):
    """A channel that is told; the secret `slack_token` (a bot) or `slack_webhook_url` says who posts."""

    channel: Text | None = Field(default=None, description='Channel of the bot, as id or "#name".')
    base_url: HttpUrl | None = Field(default=None, description="Another address of the API than Slack's own.")
    approvers: dict[Text, Text] = Field(
        default={}, description="Users who may approve by button: the id of each, and the login here."
    )

    @model_validator(mode="after")
    def _is_not_in_clear(self) -> Slack:
        if self.base_url is not None:
            _check_protected(self.base_url)
        return self


class Email(Strict):
    """A mailbox that is told; the password of `user` is the secret `email_password`."""

    host: Text = Field(description="Mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is protected; `none` only on loopback."
    )
    user: Text | None = Field(default=None, description="Login; without it nobody logs in.")
    sender: Text = Field(description="From whom the mail is.")
    to: tuple[Text, ...] = Field(min_length=1, description="Who gets it.")

    @model_validator(mode="after")
    def _is_not_in_clear(self) -> Email:
        if self.security == "none" and self.host not in LOOPBACK:
            raise refusal(f"mail to {self.host} would travel in clear text", "write security: starttls")
        return self


def _check_protected(url: str) -> None:
    """Raises for an address to which messages and tokens would travel in clear text."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise refusal(f"messages to {parts.hostname} would travel in clear text", "write https")


class Hook(Strict):
    """An address to which each message is posted as JSON; the secret `notify_token` goes along as bearer token."""

    url: HttpUrl = Field(description="Where to post.")

    @model_validator(mode="after")
    def _is_not_in_clear(self) -> Hook:
        _check_protected(self.url)
        return self


class Notify(Strict):
    """Who is told beside Slack."""

    email: Email | None = Field(default=None, description="A mailbox.")
    webhook: Hook | None = Field(default=None, description="An address that takes JSON.")
