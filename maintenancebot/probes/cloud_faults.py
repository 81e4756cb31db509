"""What reading a backup to its end can come to, besides that it is good."""

from __future__ import annotations


class Damaged(Exception):  # noqa: N818  an answer, not an error
    """The backup cannot be what it should be; the message says why."""


class Empty(Exception):  # noqa: N818
    """The backup is whole and holds nothing."""


class Unreadable(Exception):  # noqa: N818
    """It cannot be read here, or only in part; nothing is known of the rest."""
