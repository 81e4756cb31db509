"""Names of certificates against names that are asked for, by the rules of clients."""

import pytest

from maintenancebot.plan.covering import covers


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("www.example.org", "www.example.org"),
        ("www.example.org", "WWW.Example.ORG"),
        ("www.example.org", "www.example.org."),
        ("*.example.org", "www.example.org"),
        ("*.EXAMPLE.org", "www.example.org"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:0db8:0::1"),
    ],
)
def test_covered(name, wanted):
    assert covers(["other.example.org", name], wanted)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("www.example.org", "example.org"),
        ("*.example.org", "example.org"),
        ("*.example.org", "a.b.example.org"),
        ("*.example.org", ".example.org"),
        ("w*.example.org", "www.example.org"),
        ("*.b.example.org", "a.example.org"),
        ("a.*.org", "a.example.org"),
        ("*.org", "example.org"),
        ("*", "localhost"),
        ("*.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.8"),
        ("", ""),
    ],
)
def test_not_covered(name, wanted):
    assert not covers([name] if name else [], wanted)
