"""Who is at work: a person at a keyboard, or the daemon."""

from __future__ import annotations

import os
import pwd

DAEMON = "the daemon"


def person() -> str:
    """Who is at the keyboard, behind sudo too."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
