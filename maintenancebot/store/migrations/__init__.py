"""The steps from one form of the tables to the next; alembic is imported only when there is something to do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

REVISIONS = ("0001", "0002", "0003")
"""Every form that a database can have, oldest first."""

_ONE_AT_A_TIME = threading.Lock()  # alembic keeps what it is doing in global variables


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest form, inside the transaction that the connection is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")
