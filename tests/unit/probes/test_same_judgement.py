"""A backup in a cloud is judged by the same words and signs as one on a host, although two programs read them."""

from maintenancebot.helper.backups import contents, sqldump, streams
from maintenancebot.probes import cloud_contents as cloud


def test_both_know_the_same_dump_programs_and_how_their_dumps_end() -> None:
    assert [(made_by, first, (last,)) for made_by, first, last in cloud.DUMPS] == list(sqldump.DUMPS)
    assert cloud.AFTER.pattern == sqldump.AFTER.pattern
    assert (cloud.TAIL, cloud.SIZE_DIGITS, cloud.BLOCK) == (sqldump.TAIL, contents.SIZE_DIGITS, contents.BLOCK)


def test_both_tell_sql_from_the_words_of_a_failed_dump() -> None:
    assert (cloud.STATEMENT.pattern, cloud.STATEMENT.flags) == (sqldump.STATEMENT.pattern, sqldump.STATEMENT.flags)


def test_both_know_the_same_compressions_by_their_first_bytes_and_by_their_names() -> None:
    on_hosts = dict(streams.MAGIC)
    assert {name: cloud.MAGIC[name] for name in on_hosts} == on_hosts
    assert cloud.SUFFIX == streams.SUFFIX


def test_a_decoder_may_take_the_same_memory() -> None:
    assert cloud.MEMORY == streams.MEMORY
