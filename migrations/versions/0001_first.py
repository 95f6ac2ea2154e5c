"""Everything: allow-list, retries and batches, alerts and storms, the audit with its triggers, marks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

STATES = (
    "requested",
    "sending",
    "unknown",
    "accepted",
    "denied",
    "refused",
    "failed",
    "not_applied",
    "finished",
    "failed_again",
    "cancelled",
    "lost",
)
SQLITE_TRIGGERS = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    # REPLACE deletes without asking the trigger above.
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id >= NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
)
POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit "
    "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("job_id", sa.Text()),
        sa.Column("status_before", sa.Text()),
        sa.Column("status_after", sa.Text()),
        sa.Column("team_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("user_name", sa.Text()),
        sa.Column("channel_id", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("grant_id", SERIAL),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at", "id"])
    op.create_index("ix_audit_job", "audit", ["job_id", "at", "id"])
    op.create_index("ix_audit_request", "audit", ["request_id", "id"])
    op.create_index("ix_audit_user", "audit", ["user_id", "at", "id"])
    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("channel_id", sa.Text()),
        sa.Column("thread_ts", sa.Text()),
        sa.Column("asked_in", sa.Text()),
        sa.Column("response_url", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shown", sa.Text(), server_default="{}", nullable=False),
        sa.Column("unpostable", sa.Text()),
        sa.Column("show_at", MOMENT),
        sa.Column("show_fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("showing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("show_failures", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.UniqueConstraint("delivery_key", name="uq_batches_delivery_key"),
    )
    op.create_index(
        "ix_batches_due",
        "batches",
        ["due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_batches_show",
        "batches",
        ["show_at"],
        sqlite_where=sa.text("show_at IS NOT NULL"),
        postgresql_where=sa.text("show_at IS NOT NULL"),
    )
    op.create_table(
        "grants",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("job_types", sa.Text()),
        sa.Column("channels", sa.Text()),
        sa.Column("expires_at", MOMENT),
        sa.Column("reason", sa.Text()),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("delivery_key", sa.Text()),
        sa.Column("revoked_by", sa.Text()),
        sa.Column("revoked_at", MOMENT),
        sa.CheckConstraint("role IN ('operator', 'auditor', 'admin')", name="ck_grants_role"),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.UniqueConstraint("delivery_key", name="uq_grants_delivery_key"),
    )
    op.create_index("ix_grants_subject", "grants", ["subject"])
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    op.create_table(
        "storms",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shown", sa.Text(), server_default="{}", nullable=False),
        sa.Column("unpostable", sa.Text()),
        sa.Column("show_at", MOMENT),
        sa.Column("show_fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("showing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("show_failures", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_storms"),
    )
    op.create_index(
        "ix_storms_show",
        "storms",
        ["show_at"],
        sqlite_where=sa.text("show_at IS NOT NULL"),
        postgresql_where=sa.text("show_at IS NOT NULL"),
    )
    op.create_table(
        "retries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("channel_id", sa.Text()),
        sa.Column("thread_ts", sa.Text()),
        sa.Column("asked_in", sa.Text()),
        sa.Column("offered", sa.Text()),
        sa.Column("response_url", sa.Text()),
        sa.Column("batch_id", sa.Text()),
        sa.Column("grant_id", SERIAL),
        sa.Column("job_type", sa.Text()),
        sa.Column("attempt", sa.Integer()),
        sa.Column("approval_until", MOMENT),
        sa.Column("approved_by", sa.Text()),
        sa.Column("override_reason", sa.Text()),
        sa.Column("job_before", sa.Text()),
        sa.Column("job_after", sa.Text()),
        sa.Column("cause", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("superseded_by", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("unknown_at", MOMENT),
        sa.Column("accepted_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("due_at", MOMENT),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shown", sa.Text(), server_default="{}", nullable=False),
        sa.Column("unpostable", sa.Text()),
        sa.Column("show_at", MOMENT),
        sa.Column("show_fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("showing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("show_failures", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(f"state IN {STATES}", name="ck_retries_state"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_retries_batch_id"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_retries_grant_id"),
        sa.ForeignKeyConstraint(["superseded_by"], ["retries.id"], name="fk_retries_superseded_by"),
        sa.PrimaryKeyConstraint("id", name="pk_retries"),
        sa.UniqueConstraint("delivery_key", name="uq_retries_delivery_key"),
    )
    op.create_index(
        "ix_retries_batch",
        "retries",
        ["batch_id", "created_at", "id"],
        sqlite_where=sa.text("batch_id IS NOT NULL"),
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index("ix_retries_created", "retries", ["created_at"])
    op.create_index(
        "ix_retries_due",
        "retries",
        ["due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_retries_job", "retries", ["job_id", "created_at"])
    op.create_index(
        "ix_retries_show",
        "retries",
        ["show_at"],
        sqlite_where=sa.text("show_at IS NOT NULL"),
        postgresql_where=sa.text("show_at IS NOT NULL"),
    )
    op.create_index("ix_retries_user", "retries", ["user_id", "created_at"])
    op.create_index(
        "uq_retries_active_job",
        "retries",
        ["job_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('sending', 'unknown', 'accepted')"),
        postgresql_where=sa.text("state IN ('sending', 'unknown', 'accepted')"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("manner", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        sa.Column("storm_id", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("offered", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text()),
        sa.Column("retry_id", sa.Text()),
        sa.Column("muted_by", sa.Text()),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shown", sa.Text(), server_default="{}", nullable=False),
        sa.Column("unpostable", sa.Text()),
        sa.Column("show_at", MOMENT),
        sa.Column("show_fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("showing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("show_failures", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("manner IN ('new', 'alone', 'storm', 'repeat', 'silent')", name="ck_alerts_manner"),
        sa.CheckConstraint("state IN ('open', 'retrying', 'outside', 'closed')", name="ck_alerts_state"),
        sa.ForeignKeyConstraint(["parent_id"], ["alerts.id"], name="fk_alerts_parent_id"),
        sa.ForeignKeyConstraint(["retry_id"], ["retries.id"], name="fk_alerts_retry_id"),
        sa.ForeignKeyConstraint(["storm_id"], ["storms.id"], name="fk_alerts_storm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index(
        "ix_alerts_new",
        "alerts",
        ["channel_id"],
        sqlite_where=sa.text("manner = 'new'"),
        postgresql_where=sa.text("manner = 'new'"),
    )
    op.create_index("ix_alerts_parent", "alerts", ["parent_id", "created_at"])
    op.create_index(
        "ix_alerts_show",
        "alerts",
        ["show_at"],
        sqlite_where=sa.text("show_at IS NOT NULL"),
        postgresql_where=sa.text("show_at IS NOT NULL"),
    )
    op.create_index(
        "ix_alerts_storm",
        "alerts",
        ["storm_id", "created_at", "id"],
        sqlite_where=sa.text("storm_id IS NOT NULL"),
        postgresql_where=sa.text("storm_id IS NOT NULL"),
    )
    op.create_index(
        "ix_alerts_waiting",
        "alerts",
        ["created_at"],
        sqlite_where=sa.text("state IN ('open', 'outside')"),
        postgresql_where=sa.text("state IN ('open', 'outside')"),
    )
    op.create_index("uq_alerts_failure", "alerts", ["job_id", "failure"], unique=True)
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("marks", "audit", "alerts", "storms", "retries", "batches", "grants"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")
