"""Growth: later failures alone are found by their first one, failures by their time, a rerun by the job it began."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LATER = sa.text("parent_id IS NOT NULL")
BEGAN = sa.text("new_job_id IS NOT NULL")


def upgrade() -> None:
    # With the first failures in it, which have no parent, SQLite took it for a way to find these, and read them all.
    op.drop_index("ix_alerts_parent", "alerts")
    op.create_index(
        "ix_alerts_parent", "alerts", ["parent_id", "created_at"], sqlite_where=LATER, postgresql_where=LATER
    )
    op.create_index("ix_alerts_created", "alerts", ["created_at"])
    op.create_index("ix_retries_new_job", "retries", ["new_job_id"], sqlite_where=BEGAN, postgresql_where=BEGAN)


def downgrade() -> None:
    op.drop_index("ix_retries_new_job", "retries")
    op.drop_index("ix_alerts_created", "alerts")
    op.drop_index("ix_alerts_parent", "alerts")
    op.create_index("ix_alerts_parent", "alerts", ["parent_id", "created_at"])
