"""Messages by mail: what a server took, refused or never answered to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.delivery.email import Mailbox
from maintenancebot.delivery.parcel import REST_SECONDS, Fate
from maintenancebot.settings import Email
from tests.fakes import certificates, mail
from tests.fakes.mail import Mail
from tests.unit.delivery.parcels import escalation, summary


@pytest.fixture
def there() -> Iterator[Mail]:
    with mail.serving() as server:
        yield server


def box(there: Mail, password: str = "", **more: Any) -> Mailbox:
    given = {"host": "127.0.0.1", "security": "none", "sender": "bot@example.org", "to": ["ops@example.org"], **more}
    return Mailbox(Email.model_validate({**given, "port": there.port}), password)


def test_a_message_is_a_mail_in_the_same_words(there: Mail) -> None:
    assert box(there).send(escalation()).fate is Fate.SENT
    (taken,) = there.taken
    assert (taken["From"], taken["To"], taken["Auto-Submitted"]) == (
        "bot@example.org",
        "ops@example.org",
        "auto-generated",
    )
    assert taken["Subject"].startswith("[MaintenanceBot] ")
    assert "web-1" in taken["Subject"]
    assert "web-1" in taken.get_content()


def test_a_summary_is_one_mail_with_its_page(there: Mail) -> None:
    assert box(there, to=["a@example.org", "b@example.org"]).send(summary()).fate is Fate.SENT
    assert there.to == [["a@example.org", "b@example.org"]]
    body, page = list(there.taken[0].walk())[1:]
    assert there.taken[0]["Subject"] == "[MaintenanceBot] 2026-W47: 1 host failed"
    assert "host-299" in body.get_content()
    assert (page.get_content_type(), page.get_filename()) == ("text/html", "summary-2026-W47.html")
    assert "host-299" in page.get_content()


@pytest.mark.parametrize("name", ["a\r\nBcc: all@example.org", "\udcff\x00", "<!channel> & <b>", "ü" * 255])
def test_names_from_hosts_are_text_and_no_header(name: str, there: Mail) -> None:
    parcel = replace(escalation(), body={**escalation().body, "host": name, "subject": name})
    assert box(there).send(parcel).fate is Fate.SENT
    assert there.taken[0]["Bcc"] is None
    assert "&lt;" not in there.taken[0].get_content()


@pytest.mark.parametrize(
    ("word", "answer", "fate"),
    [
        ("RCPT", "550 no such user", Fate.REFUSED),
        ("RCPT", "451 greylisted", Fate.LATER),
        ("MAIL", "451 later", Fate.LATER),
        ("MAIL", "552 too large", Fate.REFUSED),
        (".", "554 spam", Fate.REFUSED),
        (".", "452 no room", Fate.LATER),
        (".", "", Fate.LATER),
        ("DATA", "", Fate.LATER),
        ("EHLO", "421 too busy", Fate.LATER),
    ],
)
def test_a_no_is_a_value(word: str, answer: str, fate: Fate, there: Mail) -> None:
    there.answers = {word: [answer], "HELO": [answer] if word == "EHLO" else []}
    assert box(there).send(escalation()).fate is fate
    assert there.taken == []


@pytest.mark.parametrize("answer", ["530 authentication required", "550 not your address"])
def test_a_sender_that_is_not_let_in_waits_until_a_person_changes_that(answer: str, there: Mail) -> None:
    there.answers = {"MAIL": [answer]}
    attempt = box(there).send(escalation())
    assert (attempt.fate, attempt.wait) == (Fate.LATER, REST_SECONDS)
    assert answer in attempt.detail


def test_receivers_that_are_refused_are_told_and_the_others_have_it(there: Mail) -> None:
    there.answers = {"RCPT": ["550 gone"]}
    attempt = box(there, to=["gone@example.org", "ops@example.org"]).send(escalation())
    assert (attempt.fate, attempt.detail) == (Fate.SENT, "not to gone@example.org")
    assert there.to == [["ops@example.org"]]


def test_a_farewell_that_fails_takes_nothing_back(there: Mail) -> None:
    there.answers = {"QUIT": [""]}
    assert box(there).send(escalation()).fate is Fate.SENT


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?x=0d=0aBcc:_all@example.org?=",
        "=?utf-8?b?CkJjYzogYWxsQGV4YW1wbGUub3Jn?=",
        "=?utf-8?q?=00=1b[31m=e2=80=ae?=",
        "=?x?q?=ff?=",
        "=?=?utf-8?q?=ff?=",
    ],
)
def test_a_name_that_looks_like_an_encoded_word_is_not_decoded(name: str, there: Mail) -> None:
    parcel = replace(escalation(), body={**escalation().body, "host": name, "subject": name})
    assert box(there).send(parcel).fate is Fate.SENT
    (taken,) = there.taken
    assert taken["Bcc"] is None
    assert name.replace("=?", "=\\x3f") in taken["Subject"]
    assert taken["Subject"].isprintable()
    assert name in taken.get_content()


def test_a_copy_has_the_same_message_id_and_another_message_another(there: Mail) -> None:
    for parcel in (escalation(), replace(escalation(), tries=1, is_unclear=True), summary()):
        box(there).send(parcel)
    first, copy, other = (one["Message-ID"] for one in there.taken)
    assert first == copy != other


def test_who_cannot_be_reached_is_tried_later() -> None:
    with mail.serving() as gone:
        pass
    assert box(gone).send(escalation()).fate is Fate.LATER


@pytest.fixture
def protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mail]:
    """A server with a certificate of an authority that this process trusts."""
    authority = certificates.make("authority", authority=True)
    made = certificates.make("localhost", authority)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "server.pem").write_bytes(made.pem + made.key_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with mail.serving(context) as server:
        yield server


def test_mail_and_password_travel_protected(protected: Mail) -> None:
    mailbox = box(protected, mail.PASSWORD, host="localhost", security="starttls", user=mail.USER)
    assert mailbox.send(escalation()).fate is Fate.SENT
    assert protected.was_protected == [True]
    assert protected.logins == [(mail.USER, mail.PASSWORD)]


def test_a_wrong_password_is_tried_rarely_and_not_told(protected: Mail) -> None:
    mailbox = box(protected, "wrong-word", host="localhost", security="starttls", user=mail.USER)
    attempt = mailbox.send(escalation())
    assert (attempt.fate, attempt.wait) == (Fate.LATER, REST_SECONDS)
    assert "wrong-word" not in attempt.detail


def test_nothing_is_sent_to_a_server_that_cannot_prove_its_name(protected: Mail) -> None:
    mailbox = box(protected, mail.PASSWORD, host="127.0.0.1", security="starttls", user=mail.USER)
    assert (mailbox.send(escalation()).fate, protected.logins) == (Fate.LATER, [])


def test_nothing_is_sent_to_a_server_without_tls_where_it_is_wanted(there: Mail) -> None:
    mailbox = box(there, mail.PASSWORD, security="starttls", user=mail.USER)
    assert (mailbox.send(escalation()).fate, there.logins, there.taken) == (Fate.LATER, [], [])
