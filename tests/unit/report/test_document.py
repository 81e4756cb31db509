"""`--json` is one valid document of the promised form, whatever hosts say."""

import json

from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import ChangeReport, Reason, State
from maintenancebot.report.document import dump_json, report_from_json, report_to_json
from tests.unit.report.examples import change, cleanup, host, planned, report

BYTES_NAME = b"/var/log/\xff\x1b.log".decode("utf-8", "surrogateescape")


def test_the_document_has_the_promised_form() -> None:
    done = ChangeReport(change("/a.log", note="n"), State.DONE, Reason.VERIFIED, "moved", {"freed_now": 0})
    document = report_to_json(report(host("web1", cleanup(done, facts={"files": 9})), command="run", notes=("hello",)))
    assert document.pop("totals")["changes"] == {"done": 1}
    assert document == {
        "schema": 1,
        "command": "run",
        "run_id": "r1",
        "started_at": "2026-11-22T03:00:00+00:00",
        "finished_at": "2026-11-22T03:01:05+00:00",
        "state": "done",
        "notes": ["hello"],
        "hosts": [
            {
                "host": "web1",
                "state": "done",
                "reason": "",
                "detail": "",
                "facts": {},
                "tasks": [
                    {
                        "task": "log_rotation",
                        "type": "cleanup",
                        "state": "done",
                        "reason": "",
                        "detail": "",
                        "facts": {"files": 9},
                        "changes": [
                            {
                                "id": "id-/a.log",
                                "action": "quarantine_file",
                                "object": "/a.log",
                                "identity": {"path": "/a.log", "inode": 7},
                                "undo": "trash restore",
                                "risk": "low",
                                "note": "n",
                                "effect": {},
                                "state": "done",
                                "reason": "verified",
                                "detail": "moved",
                                "measured": {"freed_now": 0},
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_a_report_comes_back_from_its_document_as_it_was() -> None:
    unreachable = host("db1", state=State.UNKNOWN, reason=Reason.UNREACHABLE, detail="refused")
    failed = ChangeReport(change("/b"), State.FAILED, Reason.NO_SPACE, "2 KiB short", {"freed_now": 1})
    tasks = cleanup(planned(BYTES_NAME), failed, reason=Reason.NO_SPACE)
    told = report(host("web1", tasks, facts={"uid": 0}), unreachable, notes=("n",))
    assert report_from_json(json.loads(dump_json(report_to_json(told)))) == told


@given(st.text(st.characters()))
def test_any_text_of_a_host_gives_ascii_that_reads_back(text: str) -> None:
    line = dump_json({"detail": text, text: 1})
    assert line.isascii()
    assert "\n" not in line
    # The two halves of one character come back as that character.
    assert json.loads(line)["detail"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_a_number_that_json_lacks_becomes_null() -> None:
    assert dump_json({"a": [float("nan"), 1.5], "b": {"c": float("-inf")}}) == '{"a": [null, 1.5], "b": {"c": null}}'
