"""What jobs are about and why they failed; requests to evaluate a report again, or to cancel a job."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ACTIVE = sa.text("state IN ('sending', 'unknown', 'accepted')")
KINDS = "('retry', 'rerun', 'cancel')"
MOMENT = sa.DateTime(timezone=True)

OF_RETRIES = (
    ("report_id", sa.Text()),
    ("new_job_id", sa.Text()),
    ("cause_key", sa.Text()),
    ("late", sa.Text()),
    ("late_until", MOMENT),
)
OF_ALERTS = (("about", sa.Text()), ("cause_key", sa.Text()), ("topic", sa.Text()), ("look_up_until", MOMENT))
INDEXES = (
    ("ix_retries_cause", "retries", ["cause_key", "ended_at"], "cause_key IS NOT NULL"),
    ("ix_retries_late", "retries", ["late_until"], "late_until IS NOT NULL"),
    ("ix_alerts_look_up", "alerts", ["look_up_until"], "look_up_until IS NOT NULL"),
)


def upgrade() -> None:
    for table in ("batches", "retries"):
        # By hand, since Alembic leaves the check out, which SQLite takes only together with the column.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN kind TEXT DEFAULT 'retry' NOT NULL "
            f"CONSTRAINT ck_{table}_kind CHECK (kind IN {KINDS})"
        )
    op.execute("ALTER TABLE retries RENAME COLUMN cause TO about")
    for table, columns in (("retries", OF_RETRIES), ("alerts", OF_ALERTS)):
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    for name, table, names, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, names, sqlite_where=where, postgresql_where=where)
    _one_under_way(["job_id", "kind"])
    op.create_table(
        "job_runs",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "run_id", "name_key", name="pk_job_runs"),
    )
    op.create_index("ix_job_runs_run", "job_runs", ["run_id"])
    op.create_index("ix_job_runs_name", "job_runs", ["name_key"])
    op.create_table(
        "offers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_offers"),
    )
    op.create_index("ix_offers_user", "offers", ["user_id", "created_at"])
    op.create_index("ix_offers_created", "offers", ["created_at"])
    _note_runs_of_the_audit()


def downgrade() -> None:
    for table in ("retries", "batches"):
        if op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {table} WHERE kind <> 'retry'")):  # noqa: S608  # see above
            raise RuntimeError(f"{table} has requests to rerun or to cancel, of which schema 0002 knows nothing")
    op.drop_table("offers")
    op.drop_table("job_runs")
    _one_under_way(["job_id"])
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table)
    for table, columns in (("retries", OF_RETRIES), ("alerts", OF_ALERTS)):
        for name, _ in columns:
            op.drop_column(table, name)
    op.execute("ALTER TABLE retries RENAME COLUMN about TO cause")
    for table in ("batches", "retries"):
        op.drop_column(table, "kind")


def _one_under_way(columns: list[str]) -> None:
    op.drop_index("uq_retries_active_job", "retries")
    op.create_index(
        "uq_retries_active_job", "retries", columns, unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
    )


def _note_runs_of_the_audit() -> None:
    """Notes the runs that the audit's details name, by their IDs: more was not known of them."""
    connection = op.get_bind()
    named = sa.text("SELECT job_id, detail FROM audit WHERE job_id IS NOT NULL AND detail LIKE '%\"run_ids\"%'")
    noted = sa.text(
        "INSERT INTO job_runs (job_id, run_id, name_key, name) VALUES (:job_id, :run_id, '', '') ON CONFLICT DO NOTHING"
    )
    known: set[tuple[str, str]] = set()
    for job_id, detail in connection.execute(named, execution_options={"yield_per": 1_000}):
        known |= {(job_id, run_id) for run_id in _run_ids(detail)}
    if known:
        connection.execute(noted, [{"job_id": job_id, "run_id": run_id} for job_id, run_id in sorted(known)])


def _run_ids(detail: str) -> list[str]:
    """The runs that an entry's detail names."""
    try:
        named = json.loads(detail)["run_ids"]
    except (ValueError, TypeError, LookupError):  # an entry that somebody changed: `verify` tells, this goes on
        return []
    return [one.lower() for one in named if isinstance(one, str) and one] if isinstance(named, list) else []
