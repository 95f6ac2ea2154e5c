"""The SQL of deploy/postgresql, run by psql as the documents and compose.yml do."""

import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from bot.base.clock import utc_now
from bot.db.database import Database
from tests import postgres

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "postgresql"


def psql(url: str, *arguments: str, **environment: str) -> None:
    program = postgres.program("psql")
    if program is None:
        pytest.skip("psql is not installed here")
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    command = [program, "-q", "-v", "ON_ERROR_STOP=1", *arguments, plain]
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


def test_psql_makes_the_role_and_gives_it_its_password(postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("it's secret\n")
    for _ in range(2):
        psql(postgres_url, "-1", "-f", str(FOLDER / "roles.sql"))
    psql(postgres_url, "-f", str(FOLDER / "password.sql"), PASSWORD_FILE=str(tmp_path / "password"))
    owner = Database(postgres_url, utc_now)
    with owner.reading() as connection:
        (kept, can_do_more) = connection.execute(
            text(
                "SELECT rolpassword, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication "
                "FROM pg_authid WHERE rolname = 'sift_retry'"
            )
        ).one()
    owner.close()
    assert kept.startswith("SCRAM-SHA-256$")
    assert not can_do_more
