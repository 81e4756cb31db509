from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from maintenancebot.store import Store, migrations
from maintenancebot.store.tables import metadata


def test_the_steps_make_exactly_the_tables_that_the_code_knows(store: Store) -> None:
    with store._database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_list_of_forms_is_the_chain_of_steps() -> None:
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    steps = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(step.revision for step in steps)[::-1] == migrations.REVISIONS


def test_the_tables_can_be_made_in_postgresql_too() -> None:
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_opening_a_database_in_its_newest_form_does_not_load_alembic(store: Store) -> None:
    import subprocess
    import sys

    path = store._database.path.parent
    program = (
        "import sys; from pathlib import Path; from maintenancebot.store import Store;"
        "Store.open(Path(sys.argv[1]), create=True).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
