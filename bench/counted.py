"""The bot with its transactions counted: `python -m bench.counted FILE` is `bench.unpaced`, and writes FILE at its end.

FILE holds `{"transactions": …, "flushes": …}`: commits that changed something, and which of them waited for the disk.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from bench.unpaced import run_unpaced

counts: Counter[str] = Counter()
_changed_before: dict[int, int] = {}


def _count(connection: Connection) -> None:
    raw = connection.connection.driver_connection
    assert raw is not None
    if connection.dialect.name == "sqlite":
        changed, before = raw.total_changes, _changed_before.get(id(raw), 0)
        _changed_before[id(raw)] = changed
        wrote = changed != before
        flushed = raw.execute("PRAGMA synchronous").fetchone()[0] >= 2
    else:
        found = raw.execute("SELECT pg_current_xact_id_if_assigned(), current_setting('synchronous_commit')").fetchone()
        wrote, flushed = found[0] is not None, found[1] != "off"
    counts["transactions"] += wrote
    counts["flushes"] += wrote and flushed


if __name__ == "__main__":
    file = Path(sys.argv[1])
    event.listen(Engine, "commit", _count)
    try:
        run_unpaced()
    finally:
        file.write_text(json.dumps(counts))
