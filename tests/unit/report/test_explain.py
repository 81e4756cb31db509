"""Every reason has words, and every reason that needs a person says what to do or why it cannot."""

from maintenancebot.model import Reason
from maintenancebot.report.explain import ADVICE, SENTENCES, advice, explain


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
    assert [reason for reason, sentence in SENTENCES.items() if not sentence] == [Reason.NONE]


def test_sentences_are_told_apart() -> None:
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_sentence_and_detail_stand_together() -> None:
    assert explain(Reason.UNREACHABLE, "Connection refused") == "no connection: Connection refused"
    assert explain(Reason.NONE, "3 of 4") == "3 of 4"
    assert explain(Reason.HELD) == "the package is on hold"


def test_advice_is_there_for_what_a_person_can_mend() -> None:
    assert advice(Reason.CLOCK_SKEW) == "set the host's clock"
    assert advice(Reason.IN_USE) == ""
    assert all(ADVICE.values())
