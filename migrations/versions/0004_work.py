"""People at work: who took or snoozed a failure, reminders, waiting for a cooldown, several people's approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

ON_CALL = (
    ("taken_by", sa.Text()),
    ("taken_at", MOMENT),
    ("released_by", sa.Text()),
    ("snoozed_by", sa.Text()),
    ("snoozed_until", MOMENT),
    ("woken_at", MOMENT),
    ("remind_at", MOMENT),
    ("reminded_at", MOMENT),
)
COLUMNS = (
    ("alerts", (*ON_CALL, ("mute_reason", sa.Text()), ("creator_id", sa.Text()))),
    ("storms", ON_CALL),
    ("retries", (("waits_until", MOMENT), ("cools_until", MOMENT), ("approvals_needed", sa.Integer()))),
)
LINES = (
    "event NOT IN ('alert', 'approval_asked', 'audit_read', 'remind') AND "
    "(event NOT IN ('request', 'rerun', 'cancel') OR request_id IS NULL "
    "OR (outcome = 'requested' AND status_before IS NULL))"
)
ENDED = "outcome IN ('denied', 'refused', 'not_applied', 'failed', 'finished', 'failed_again', 'cancelled', 'lost')"
INDEXES = (
    ("ix_alerts_snoozed", "alerts", ["snoozed_until"], "snoozed_until IS NOT NULL", False),
    ("ix_alerts_remind", "alerts", ["remind_at"], "remind_at IS NOT NULL", False),
    ("ix_storms_snoozed", "storms", ["snoozed_until"], "snoozed_until IS NOT NULL", False),
    ("ix_storms_remind", "storms", ["remind_at"], "remind_at IS NOT NULL", False),
    ("ix_audit_lines", "audit", ["at", "id"], LINES, False),
    ("ix_audit_lines_user", "audit", ["user_id", "at", "id"], LINES, False),
    ("ix_audit_ended", "audit", ["outcome", "at", "id"], ENDED, False),
    ("uq_retries_waiting_job", "retries", ["job_id", "kind"], "waits_until IS NOT NULL", True),
    ("ix_retries_cools", "retries", ["cools_until"], "cools_until IS NOT NULL", False),
    ("ix_retries_approval", "retries", ["approval_until"], "approval_until IS NOT NULL AND state = 'requested'", False),
)


def upgrade() -> None:
    for table, columns in COLUMNS:
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    for table in ("alerts", "storms"):
        op.add_column(table, sa.Column("reminded", sa.Integer(), nullable=False, server_default="0"))
    for name, table, names, condition, unique in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, names, unique=unique, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "approvals",
        sa.Column("retry_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text()),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("retry_id", "user_id", name="pk_approvals"),
        sa.ForeignKeyConstraint(["retry_id"], ["retries.id"], name="fk_approvals_retry_id_retries"),
    )
    op.create_table(
        "digests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("shown", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("unpostable", sa.Text()),
        sa.Column("show_at", MOMENT),
        sa.Column("show_fence", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("showing", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("show_failures", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_digests"),
    )
    waits = sa.text("show_at IS NOT NULL")
    op.create_index("ix_digests_show", "digests", ["show_at"], sqlite_where=waits, postgresql_where=waits)
    op.create_index("ix_digests_created", "digests", ["created_at"])


def downgrade() -> None:
    op.drop_table("digests")
    op.drop_table("approvals")
    for name, table, _, _, _ in INDEXES:
        op.drop_index(name, table)
    for table in ("alerts", "storms"):
        op.drop_column(table, "reminded")
    for table, columns in COLUMNS:
        for name, _ in columns:
            op.drop_column(table, name)
