"""The lab's fixtures, for tests of the product on real hosts."""

from tests.lab.fixtures import (  # noqa: F401 # pytest finds fixtures by name
    fleet,
    host,
    lab,
    make_acme,
    make_docker,
    make_fleet,
    make_host,
    make_repository,
    make_wire,
    own_fleet,
    pytest_collection_modifyitems,
)
