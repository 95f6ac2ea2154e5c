"""The jobs of a run: how runs' names are compared, and the query by the run's ID or name."""

from sqlalchemy import CompoundSelect, select, union

from bot.db.tables import job_runs

MAX_NAME = 300
"""Characters of a run's name that are kept."""

_ROW = job_runs.c


def name_key(name: str) -> str:
    """A run's name, letter case apart."""
    return name[:MAX_NAME].casefold()


def jobs_of(run: str) -> CompoundSelect[tuple[str]]:
    """The query for the jobs of a run, by its ID or name, letter case apart; each half of it has an index."""
    by_id = select(_ROW.job_id).where(_ROW.run_id == run.lower(), _ROW.run_id != "")
    return union(by_id, select(_ROW.job_id).where(_ROW.name_key == name_key(run), _ROW.name_key != ""))


def jobs_of_one(run_id: str, name: str) -> CompoundSelect[tuple[str]]:
    """The query for the jobs of one run, and of what its uploader called so before it existed.

    Args:
        run_id: empty for a run that does not exist yet.
    """
    unborn = select(_ROW.job_id).where(_ROW.name_key == name_key(name), _ROW.run_id == "", _ROW.name_key != "")
    return union(unborn, select(_ROW.job_id).where(_ROW.run_id == run_id, _ROW.run_id != ""))
