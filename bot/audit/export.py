"""The audit as files: one row per entry, for spreadsheets and for programs."""

import csv
import json
from collections.abc import Callable
from datetime import datetime
from typing import IO

from bot.audit import entry as audit_entry
from bot.audit import log as audit
from bot.base.clock import rfc3339


def write_csv(rows: audit.Rows, target: IO[str]) -> int:
    """Writes entries as CSV with a header; returns how many."""
    writer = csv.writer(target)
    writer.writerow(audit.COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        count += 1
    return count


def write_jsonl(rows: audit.Rows, target: IO[str]) -> int:
    """Writes entries as JSON Lines, `detail` as an object; returns how many."""
    count = 0
    for row in rows:
        entry = {**row._mapping, "at": rfc3339(row.at), "detail": json.loads(row.detail)}
        target.write(audit_entry.quickly(entry) + "\n")
        count += 1
    return count


WRITERS: dict[str, Callable[[audit.Rows, IO[str]], int]] = {"csv": write_csv, "jsonl": write_jsonl}


def _cell(value: object) -> object:
    """A CSV cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
