"""Named marks: written once or always, found with their moment, forgotten; on both databases."""

from datetime import timedelta

from bot.db import marks
from bot.db.database import Database
from tests.conftest import NOW

LATER = NOW + timedelta(hours=1)


def test_a_mark_is_found_as_it_was_written_last(database: Database) -> None:
    with database.transaction() as connection:
        assert marks.find(connection, "watermark") is None
        assert marks.read(connection, "watermark") is None
        assert marks.moment(connection, "watermark") is None
        marks.write(connection, "watermark", NOW, NOW)
        marks.write(connection, "watermark", LATER, NOW)
        marks.write(connection, "other", "text", LATER)
        assert marks.moment(connection, "watermark") == LATER
        assert marks.find(connection, "watermark", lock=True) == marks.Mark(f"{LATER:%Y-%m-%dT%H:%M:%S.%fZ}", NOW)
        assert marks.find(connection, "other") == marks.Mark("text", LATER)


def test_the_first_to_add_a_mark_has_it(database: Database) -> None:
    with database.transaction() as connection:
        assert marks.add(connection, "workspace", "T1", NOW) == "T1"
        assert marks.add(connection, "workspace", "T2", LATER) == "T1"
        assert marks.find(connection, "workspace") == marks.Mark("T1", NOW)
        marks.forget(connection, "workspace")
        assert marks.add(connection, "workspace", "T2", LATER) == "T2"
