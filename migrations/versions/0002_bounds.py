"""Bounds: where a batch comes from and why all of it was refused, quotas, and an index on the audit's grants."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FROM_A_BUTTON = sa.text("origin IS NOT NULL")
OF_GRANTS = sa.text("event IN ('grant', 'revoke')")


def upgrade() -> None:
    op.add_column("batches", sa.Column("origin", sa.Text()))
    op.add_column("batches", sa.Column("refusal", sa.Text()))
    op.create_index(
        "ix_batches_origin",
        "batches",
        ["origin", "created_at"],
        sqlite_where=FROM_A_BUTTON,
        postgresql_where=FROM_A_BUTTON,
    )
    op.create_table(
        "quotas",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text()),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_quotas"),
    )
    op.create_index("ix_audit_grants", "audit", ["grant_id", "id"], sqlite_where=OF_GRANTS, postgresql_where=OF_GRANTS)


def downgrade() -> None:
    op.drop_index("ix_audit_grants", "audit")
    op.drop_table("quotas")
    op.drop_index("ix_batches_origin", "batches")
    op.drop_column("batches", "refusal")
    op.drop_column("batches", "origin")
