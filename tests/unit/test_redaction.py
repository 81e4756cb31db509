"""What is hidden, what is left, and how long it takes."""

import json
import random
import string
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenancebot.redaction import MASK, redacted

CASES = json.loads((Path(__file__).parent.parent / "fixtures" / "redaction.json").read_text("utf-8"))
SECRETS = [(case["text"].replace("¦", ""), case["hides"].replace("¦", "")) for case in CASES["secrets"]]
"""The files of this repository hold no text that a scanner takes for a real token: a bar stands within each."""


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:40] for text, _ in SECRETS])
def test_a_planted_secret_is_hidden(text: str, secret: str) -> None:
    assert secret in text
    shown = redacted(text)
    assert secret not in shown
    assert MASK in shown


IN_A_LINE = ["before\n{}\nafter", "-{}", "+{}"]
WITHIN_A_LINE = ["2026-11-21T03:00:00Z web-1 app[12]: {}", "x" * 5000 + " {}", '{{"cmd": "{}', "    {}"]
AROUND = [
    pytest.param(around.format(text), secret, id=f"{text[:30]} in {around[-30:]}")
    for (text, secret), case in zip(SECRETS, CASES["secrets"], strict=True)
    for around in (IN_A_LINE if "line" in case else IN_A_LINE + WITHIN_A_LINE)
]


@pytest.mark.parametrize(("text", "secret"), AROUND)
def test_it_is_hidden_in_logs_and_diffs_too(text: str, secret: str) -> None:
    assert secret not in redacted(text)


@pytest.mark.parametrize("text", CASES["harmless"])
def test_a_harmless_line_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:40] for text, _ in SECRETS])
def test_what_is_hidden_stays_as_it_is(text: str, secret: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_the_name_of_a_secret_stays() -> None:
    assert redacted("db_password = hunter2") == f"db_password = {MASK}"
    assert (
        redacted('{"user": "bob", "password": "hunter2", "port": 1}')
        == f'{{"user": "bob", "password": "{MASK}", "port": 1}}'
    )
    assert redacted("postgresql+psycopg://bob:p@ss@db/x") == f"postgresql+psycopg://bob:{MASK}@db/x"


KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
    + "\n".join(["MIIEpAIBAAKCAQEA7bq" * 3] * 20)
    + "\nqw==\n"
)
END = "-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize("mark", ["", "+", "    ", "> "])
def test_a_private_key_goes_whole(mark: str) -> None:
    key = "".join(mark + line + "\n" for line in (KEY + END).splitlines())
    shown = redacted(f"before\n{key}after\n")
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert "MII" not in shown
    assert "ENCRYPTED" not in shown


def test_a_private_key_goes_where_its_end_was_cut_off() -> None:
    assert redacted(f"{KEY}[… 12 lines …]\nall is well") == f"{MASK}\n[… 12 lines …]\nall is well"


def test_a_private_key_goes_where_its_start_was_cut_off() -> None:
    shown = redacted("all is well\n[… 12 lines …]\n" + KEY.split("\n\n")[1] + END)
    assert shown == f"all is well\n[… 12 lines …]\n{MASK}\n"


def test_a_private_key_in_one_line_of_json_goes() -> None:
    shown = redacted(json.dumps({"type": "service_account", "private_key": KEY + END, "client_id": "12"}))
    assert "MII" not in shown
    assert '"client_id": "12"' in shown


def test_a_certificate_between_two_keys_stays() -> None:
    public = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    assert redacted(KEY + END + public + KEY + END) == f"{MASK}\n{public}{MASK}\n"


def test_values_that_we_hold_go_first() -> None:
    assert redacted("told me: open sesame!", ["open sesame"]) == f"told me: {MASK}!"
    assert redacted("https://x/?q=a%2Fb%2Fc%2Fd", ["a/b/c/d"]) == f"https://x/?q={MASK}"
    assert redacted("abc", ["abc"]) == "abc"  # too short: it would blacken innocent words


TOKENS = random.Random(7)
ALPHABET = string.ascii_letters + string.digits


def test_random_words_are_hidden_without_a_name() -> None:
    words = ["".join(TOKENS.choices(ALPHABET, k=40)) for _ in range(500)]
    missed = [word for word in words if word in redacted(f"X-Thing is {word} here")]
    assert len(missed) <= 15


@pytest.mark.parametrize("letters", [string.ascii_lowercase, string.ascii_uppercase])
def test_random_words_of_one_case_are_hidden_too_and_digests_are_not(letters: str) -> None:
    words = ["".join(TOKENS.choices(letters + string.digits, k=40)) for _ in range(500)]
    missed = [word for word in words if word in redacted(f"X-Thing is {word} here")]
    assert len(missed) <= 25
    for digits in (string.hexdigits[:16], string.hexdigits[-12:]):
        digest = "".join(TOKENS.choices(digits, k=40))
        assert redacted(f"image {digest} here") == f"image {digest} here"


@pytest.mark.parametrize("unit", CASES["repeated"])
def test_it_takes_time_by_length_alone(unit: str) -> None:
    assert seconds(unit, 400_000) < 12 * max(seconds(unit, 100_000), 0.02)


def seconds(unit: str, length: int) -> float:
    """The least of three: a busy machine can only make it longer."""
    text = (unit * (length // len(unit) + 1))[:length]
    spans = []
    for _ in range(3):
        started = time.process_time()
        redacted(text)
        spans.append(time.process_time() - started)
    return min(spans)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SECRETS), st.sampled_from(CASES["harmless"]).map(lambda line: (line, "")))))
def test_secrets_stay_hidden_whatever_stands_around_them(lines: list[tuple[str, str]]) -> None:
    shown = redacted("\n".join(text for text, _ in lines))
    assert [secret for _, secret in lines if secret and secret in shown] == []


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(redacted(text), str)
