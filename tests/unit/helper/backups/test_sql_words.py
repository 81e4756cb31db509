"""A file that calls itself SQL holds some, or it is what a dump program said when it failed."""

import pytest

from maintenancebot.helper.backups import sqldump


@pytest.mark.parametrize(
    "head",
    [
        b"mysqldump: Got error: 1045: Access denied for user 'x'@'localhost' when trying to connect\n",
        b"pg_dump: error: query failed: ERROR:  permission denied\npg_dump: detail: Query was: LOCK TABLE public.x\n",
        b"psql: error: connection to server failed\n",
        b"hello",
        b"\xff\xfe\x00create",
    ],
)
def test_the_words_of_a_failure_are_no_sql(head: bytes) -> None:
    assert not sqldump.STATEMENT.search(head)


@pytest.mark.parametrize(
    "head",
    [
        b"-- phpMyAdmin SQL Dump\n",
        b"/*!40101 SET NAMES utf8 */;\n",
        b"\n\n  insert into t values (1);",
        b"CREATE TABLE t (id int);",
        b"BEGIN TRANSACTION;\n",
        b"\\connect shop\n",
        b"a line\nSET search_path = '';\n",
    ],
)
def test_sql_of_any_making_is(head: bytes) -> None:
    assert sqldump.STATEMENT.search(head)
