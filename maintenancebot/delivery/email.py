"""A mailbox. A message that may have arrived is sent again under the same Message-ID, by which copies are known."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from maintenancebot.delivery.letters import letter
from maintenancebot.delivery.parcel import REST_SECONDS, Attempt, Fate, Parcel
from maintenancebot.settings import Email

SECONDS = 20
PERMANENT = 500
TOO_LARGE = (523, 552)
"""What servers say to a sender of a message that is longer than they take."""


@dataclass(frozen=True)
class Mailbox:
    """The receivers behind one mail server."""

    settings: Email
    password: str = ""
    bot: str = "MaintenanceBot"
    name: str = "email"

    def send(self, parcel: Parcel) -> Attempt:
        """Hand it to the server; that the server took it is all that can be known."""
        message = self._message(parcel)
        try:
            server = self._server()
            try:
                refused = server.send_message(message)
            finally:
                with suppress(OSError, smtplib.SMTPException):  # a farewell that fails takes nothing back
                    server.quit()
        except smtplib.SMTPRecipientsRefused as error:
            return _refused("it takes none of the receivers", min(code for code, _ in error.recipients.values()))
        except smtplib.SMTPSenderRefused as error:
            return _not_from_us(error)
        except smtplib.SMTPDataError as error:
            return _refused(_said(error), error.smtp_code)
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            return Attempt(Fate.LATER, f"the mail server does not let us in: {error}", REST_SECONDS)
        except (OSError, smtplib.SMTPException) as error:
            return Attempt(Fate.LATER, f"the mail server cannot be spoken to: {type(error).__name__}: {error}")
        return Attempt(Fate.SENT, f"not to {', '.join(refused)}" if refused else "")

    def _server(self) -> smtplib.SMTP:
        """A session, protected and logged in as configured."""
        rules, context = self.settings, ssl.create_default_context()
        if rules.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(rules.host, rules.port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(rules.host, rules.port, timeout=SECONDS)
        try:
            if rules.security == "starttls":
                server.starttls(context=context)
            if rules.user is not None:
                server.login(rules.user, self.password)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, parcel: Parcel) -> EmailMessage:
        told = letter(parcel, self.bot)
        message = EmailMessage()
        message["From"], message["To"] = self.settings.sender, ", ".join(self.settings.to)
        message["Subject"], message["Date"] = told.subject, format_datetime(parcel.created_at)
        message["Message-ID"] = f"<{_digest(parcel)}@maintenancebot>"
        message["Auto-Submitted"] = "auto-generated"  # so that no holiday answer comes back
        message.set_content(told.text)
        if told.page:
            message.add_attachment(told.page, subtype="html", filename=told.page_name)
        return message


def _digest(parcel: Parcel) -> str:
    told = f"{parcel.key} {parcel.created_at.isoformat()}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _refused(told: str, code: int) -> Attempt:
    return Attempt(Fate.REFUSED if code >= PERMANENT else Fate.LATER, told)


def _not_from_us(error: smtplib.SMTPSenderRefused) -> Attempt:
    """Whose sender is refused is not let in, until a person changes that; a message that is too large never is."""
    if error.smtp_code in TOO_LARGE or error.smtp_code < PERMANENT:
        return _refused(_said(error), error.smtp_code)
    return Attempt(Fate.LATER, f"the mail server does not let us in: {_said(error)}", REST_SECONDS)


def _said(error: smtplib.SMTPResponseException) -> str:
    words: bytes | str = error.smtp_error
    told = words.decode("ascii", "replace") if isinstance(words, bytes) else words
    return f"the mail server said {error.smtp_code} {told}"
