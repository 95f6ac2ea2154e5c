"""Connections that end before anybody knows of them."""

import gc

import pytest
from sqlalchemy.exc import DBAPIError

from bot.db.connections import Limits, Lines, make_engine


def test_a_connection_that_ends_while_it_is_prepared_is_closed(postgres_url: str) -> None:
    engine = make_engine(postgres_url, Limits(statement=-1, idle=1), Lines())
    with pytest.raises(DBAPIError, match="statement_timeout"):
        engine.connect()
    gc.collect()  # what is still open complains, and so fails this test
    engine.dispose()
