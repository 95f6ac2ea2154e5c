"""The audit as files: one row per entry, for spreadsheets and for programs."""

import csv
import json
from collections.abc import Callable
from typing import IO

from bot.audit import entry as audit_entry
from bot.audit import log as audit

_FORMULAS = frozenset("=+-@\t\r")
"""How a cell begins that a spreadsheet would calculate."""


def write_csv(rows: audit.Rows, target: IO[str]) -> int:
    """Writes entries as CSV with a header, no cell of which a spreadsheet takes for a formula; returns how many.

    Args:
        rows: as `audit.written` reads them.
    """
    writer = csv.writer(target)
    writer.writerow(audit.COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([f"'{cell}" if type(cell) is str and cell[:1] in _FORMULAS else cell for cell in row])
        count += 1
    return count


def write_jsonl(rows: audit.Rows, target: IO[str]) -> int:
    """Writes entries as JSON Lines, `detail` as an object; returns how many.

    Args:
        rows: as `audit.written` reads them.
    """
    count = 0
    for row in rows:
        entry = {**row._mapping, "detail": json.loads(row.detail)}
        target.write(audit_entry.quickly(entry) + "\n")
        count += 1
    return count


WRITERS: dict[str, Callable[[audit.Rows, IO[str]], int]] = {"csv": write_csv, "jsonl": write_jsonl}
