"""What looks over the scenarios' statements sees one that goes through all of a table."""

import pytest
from sqlalchemy import text

from bot.base.clock import utc_now
from bot.db.database import Database
from tests.plans import looked_over


@pytest.mark.parametrize(
    ("query", "scans"),
    [
        ("SELECT id FROM retries WHERE detail = '{}'", "SCAN retries"),
        ("SELECT a.id FROM alerts AS alerts_1 JOIN retries AS a ON a.id = alerts_1.retry_id", "SCAN alerts_1"),
        (
            "SELECT id FROM retries WHERE id > '' ORDER BY id",
            "SEARCH retries USING COVERING INDEX sqlite_autoindex_retries_1",
        ),
        ("SELECT id FROM retries WHERE job_id = 'j'", ""),
        ("SELECT id FROM alerts WHERE state IN ('open', 'outside')", ""),
        ("SELECT name FROM marks", ""),
    ],
)
async def test_a_statement_that_goes_through_all_of_a_table_is_found(sqlite_url: str, query: str, scans: str) -> None:
    database, found = Database(sqlite_url, utc_now), ""
    try:
        with looked_over(database):
            await database.run(lambda connection: connection.execute(text(query)).all())
    except AssertionError as error:
        found = str(error).partition(":")[0].partition(" (")[0]
    finally:
        database.close()
    assert found == scans
