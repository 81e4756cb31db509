from maintenancebot.redaction import MASK
from maintenancebot.remote.hiding import without_secrets

URL = "https://bob:hunter22@repo.example/x"


def test_what_programs_said_has_no_secret_wherever_it_stands() -> None:
    frame = {
        "task": "t",
        "detail": f"cannot fetch {URL}",
        "facts": {"lists": [{"error": f"fetch {URL}"}], "count": 3},
        "items": [{"kind": "k", "subject": URL, "data": {"detail": "token: abc-123-def", "size": 1}}],
        "outcomes": [{"change": "c", "detail": "", "measured": {"error": None}}],
    }
    assert without_secrets(frame) == {
        "task": "t",
        "detail": f"cannot fetch https://bob:{MASK}@repo.example/x",
        "facts": {"lists": [{"error": f"fetch https://bob:{MASK}@repo.example/x"}], "count": 3},
        "items": [{"kind": "k", "subject": URL, "data": {"detail": f"token: {MASK}", "size": 1}}],
        "outcomes": [{"change": "c", "detail": "", "measured": {"error": None}}],
    }


def test_words_of_checks_and_lists_of_them_are_words_too() -> None:
    frame = {"health": [{"kind": "http", "why": f"said {URL}"}], "problems": [f"error: {URL}", {"detail": URL}]}
    assert without_secrets(frame) == {
        "health": [{"kind": "http", "why": f"said https://bob:{MASK}@repo.example/x"}],
        "problems": [f"error: https://bob:{MASK}@repo.example/x", {"detail": f"https://bob:{MASK}@repo.example/x"}],
    }


def test_names_stay_as_they_are_since_they_are_acted_upon() -> None:
    frame = {"items": [{"subject": "/srv/password=hunter22.log", "data": {"path": "/srv/password=hunter22.log"}}]}
    assert without_secrets({**frame}) == frame
