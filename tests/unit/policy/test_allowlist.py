"""Path rules hold by components, in doubt refuse, and are the same on controller and host."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenancebot.helper.files import globs
from maintenancebot.policy import allowlist


@pytest.mark.parametrize(
    ("path", "allow", "root"),
    [
        ("/var/log/a", ["/var/log"], "/var/log"),
        ("/var/log/app/a", ["/var/log", "/var/log/app"], "/var/log/app"),
        ("/var/log//a/", ["/var/log/"], "/var/log"),
        ("/var/log", ["/var/log"], ""),
        ("/var/logs-old/a", ["/var/log"], ""),
        ("/var/log/../../etc/passwd", ["/var/log"], ""),
        ("/var/log/./a", ["/var/log"], ""),
        ("var/log/a", ["/var/log"], ""),
        ("/var/log/a\0b", ["/var/log"], ""),
        ("/var/log/.maintenancebot/trash/x/item", ["/var/log"], ""),
        ("/var/log/a", [], ""),
        ("/var/log/a", [""], ""),
        ("/var/log/a", ["/"], ""),
        ("", ["/var/log"], ""),
    ],
)
def test_the_allowing_root_is_the_longest_tree_that_holds_the_path(path: str, allow: list[str], root: str) -> None:
    assert allowlist.allowing_root(path, allow) == root
    assert allowlist.is_allowed(path, allow) is bool(root)


@pytest.mark.parametrize(
    ("path", "rule", "holds"),
    [
        ("/srv/app/keep/a", "/srv/app/keep", True),
        ("/srv/app/keep2/a", "/srv/app/keep", False),
        ("/srv/app/a.key", "*.key", True),
        ("/srv/app/.hidden.key", "*.key", True),
        ("/srv/a/b/c/x.db", "/srv/**/*.db", True),
        ("/srv/x.db", "/srv/**/*.db", True),
        ("/srv/x.db/inside", "/srv/*.db", True),
        ("/srv/app/data/x", "data/x", True),
        ("/srv/app/data/y", "data/x", False),
        ("/srv/a", "/srv/[!a]", False),
        ("/srv/new\nline", "/srv/new?line", True),
        ("/srv/\udcff", "/srv/?", True),
    ],
)
def test_a_rule_protects_what_it_matches_and_all_below(path: str, rule: str, holds: bool) -> None:
    assert allowlist.protecting_rule(path, ["/other", rule]) == (rule if holds else "")


def test_what_is_no_plain_path_is_protected() -> None:
    assert allowlist.protecting_rule("/srv/../etc", [])


name = st.text(st.sampled_from("ab.*?[]!-\n\udcff"), min_size=1, max_size=5)
plain = name.filter(lambda one: one not in (".", ".."))
path = st.lists(plain, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
pattern = st.lists(st.one_of(plain, st.just("**")), min_size=1, max_size=4).map("/".join)


@given(path=path, rule=pattern, absolute=st.booleans())
@example(path="/a/b/c", rule="**/c", absolute=True)
@example(path="/.a/b", rule="*/b", absolute=True)
def test_helper_and_controller_agree_on_rules(path: str, rule: str, absolute: bool) -> None:
    text = "/" + rule if absolute else rule
    assert globs.Rule(text).keeps(globs.components(path)) == (allowlist.protecting_rule(path, [text]) != "")


@given(path=path, roots=st.lists(path, max_size=3))
def test_helper_and_controller_agree_on_roots(path: str, roots: list[str]) -> None:
    depth = globs.inside(globs.components(path), roots)
    expected = "/" + "/".join(globs.components(path)[:depth]) if depth else ""
    assert allowlist.allowing_root(path, roots) == expected
