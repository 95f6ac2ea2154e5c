"""Runs the migrations over the connection it is given, or over DATABASE_URL (`alembic …` by hand)."""

from alembic import context
from sqlalchemy import Connection

import bot.db.tables  # noqa: F401  # which fills the metadata
from bot.base.clock import utc_now
from bot.db.columns import metadata, say_where
from bot.db.database import Database
from bot.settings import StoreSettings, load


def _upgrade(connection: Connection) -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            say_where(index)
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _upgrade(given)
else:
    database = Database(load(StoreSettings).database_url.get_secret_value(), utc_now)
    with database.transaction() as connection:
        _upgrade(connection)
