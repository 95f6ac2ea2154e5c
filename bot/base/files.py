"""Files that must outlast the machine's stopping."""

import os
from pathlib import Path


def sync_folder(file: Path) -> None:
    """Has the folder remember the file's name, also if the machine stops now."""
    folder = os.open(file.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
