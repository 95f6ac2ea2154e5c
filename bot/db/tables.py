"""The tables, as SQLAlchemy Core knows them. `migrations/` creates them; a test compares the two."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from bot.db.columns import Moment, Serial, metadata, on_call, one_of, shown, where
from bot.db.lines import ENDED, LINES

SCHEMA_VERSION = "0005"
"""The newest migration; a test holds it to Alembic's head. Kept here so that starting needs no Alembic."""

ACTIVE = ("sending", "unknown", "accepted")
"""The states in which a job counts as being retried; one row per job may be in one of them."""

FINAL = ("denied", "refused", "failed", "not_applied", "finished", "failed_again", "cancelled", "lost")
OFFERING = ("not_applied", "failed_again", "cancelled")
"""The final states after which the person is offered the Retry button again."""

KINDS = ("retry", "rerun", "cancel")
"""What is asked of Sift: to retry a job, to evaluate its report again, to cancel it."""

STATES = ("requested", *ACTIVE, *FINAL)

MANNERS = ("new", "alone", "storm", "repeat", "silent")
"""How a failure is shown: not decided yet, by a message of its own, by a storm's, in the thread of the job's first
alert, or not at all: the job is muted, or the retry that failed again says so itself."""

ALERT_STATES = ("open", "retrying", "outside", "closed")
"""How an alert's job stands: failed; being retried by the bot; moved by somebody else; no longer failed."""


grants = Table(
    "grants",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("team_id", Text),  # null: the workspace of the bot's token
    Column("subject", Text, nullable=False),  # a user, U…, or a user group, S…
    Column("role", Text, nullable=False),
    Column("job_types", Text),  # JSON array; null: every type
    Column("channels", Text),  # JSON array; null: everywhere
    Column("expires_at", Moment),
    Column("reason", Text),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", Moment, nullable=False),
    Column("delivery_key", Text, unique=True),  # what Slack sent, so a redelivery is known; null: the command line
    Column("revoked_by", Text),
    Column("revoked_at", Moment),
    CheckConstraint(one_of("role", ("operator", "auditor", "admin")), name="role"),
    Index("ix_grants_subject", "subject"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_key", Text, nullable=False, unique=True),
    # Who asked for several retries at once, from where, and why.
    Column("team_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text),
    Column("source", Text, nullable=False),
    Column("reason", Text),
    Column("channel_id", Text),
    Column("thread_ts", Text),
    Column("asked_in", Text),
    Column("response_url", Text),
    Column("created_at", Moment, nullable=False),
    Column("total", Integer, nullable=False),
    Column("todo", Text, nullable=False),  # JSON [[job ID, failure], …]: what has no row in `retries` yet
    Column("due_at", Moment),  # null: nothing is left to do
    Column("kind", Text, nullable=False, server_default="retry"),
    Column("origin", Text),  # the storm or the batch whose button asks for all of it; null: jobs named one by one
    Column("refusal", Text),  # JSON: why none of it was let through
    *shown(),
    CheckConstraint(one_of("kind", KINDS), name="kind"),
    Index("ix_batches_origin", "origin", "created_at", **where("origin IS NOT NULL")),
    Index("ix_batches_due", "due_at", **where("due_at IS NOT NULL")),
    Index("ix_batches_show", "show_at", **where("show_at IS NOT NULL")),
)

retries = Table(
    "retries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_key", Text, nullable=False, unique=True),  # what Slack sent, so a redelivery is known
    Column("kind", Text, nullable=False, server_default="retry"),
    Column("state", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("report_id", Text),  # of a rerun: the report that is evaluated again
    # Who asked, as known then, from where, and why.
    Column("team_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text),
    Column("source", Text, nullable=False),
    Column("reason", Text),
    Column("channel_id", Text),
    Column("thread_ts", Text),  # where the answer goes; null: the bot starts a thread of its own
    Column("asked_in", Text),  # the thread where a private answer goes; null: the channel itself
    Column("offered", Text),  # the failure the clicked button stood for
    Column("response_url", Text),  # dropped once the request is final
    Column("batch_id", ForeignKey("batches.id")),  # null: shown by messages of its own
    # What was decided and what became of it.
    Column("grant_id", ForeignKey("grants.id")),
    Column("job_type", Text),  # as Sift names it, once the job was read
    Column("attempt", Integer),
    # A second person's word, where it takes one: asked for until, of how many people, given by whom last, and why it
    # was overridden.
    Column("approval_until", Moment),
    Column("approvals_needed", Integer),
    Column("approved_by", Text),
    Column("override_reason", Text),
    Column("job_before", Text),  # JSON, as Sift sent it
    Column("job_after", Text),  # JSON, the newest known
    Column("new_job_id", Text),  # of a rerun: the job that Sift began, which is the one that is followed
    Column("about", Text),  # JSON: what the job is about, why it failed before and, if it did, again
    Column("cause_key", Text),  # why it failed before, the same for the same cause; see `sift.cause`
    Column("late", Text),  # JSON: the reports that were evaluated before this import's data arrived
    Column("late_until", Moment),  # until when those are looked for; null: not, or not any more
    Column("detail", Text),  # JSON: why refused, failed, unknown or lost
    Column("superseded_by", ForeignKey("retries.id")),  # a later retry of the same job
    Column("waits_until", Moment),  # asked for during the cooldown: until when it waits by itself
    Column("cools_until", Moment),  # offered again during the cooldown: until when; null: not, or not any more
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("unknown_at", Moment),
    Column("accepted_at", Moment),
    Column("ended_at", Moment),
    # The row as queue and lock: due for the runner or the follower; the fence is the newest claim's number.
    Column("due_at", Moment),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("missed", Integer, nullable=False, server_default="0"),  # reads in a row without the job
    *shown(),
    CheckConstraint(one_of("state", STATES), name="state"),
    CheckConstraint(one_of("kind", KINDS), name="kind"),
    Index("uq_retries_active_job", "job_id", "kind", unique=True, **where(one_of("state", ACTIVE))),
    Index("uq_retries_waiting_job", "job_id", "kind", unique=True, **where("waits_until IS NOT NULL")),
    Index("ix_retries_cools", "cools_until", **where("cools_until IS NOT NULL")),
    Index("ix_retries_approval", "approval_until", **where("approval_until IS NOT NULL AND state = 'requested'")),
    Index("ix_retries_job", "job_id", "created_at"),
    Index("ix_retries_new_job", "new_job_id", **where("new_job_id IS NOT NULL")),
    Index("ix_retries_cause", "cause_key", "ended_at", **where("cause_key IS NOT NULL")),
    Index("ix_retries_late", "late_until", **where("late_until IS NOT NULL")),
    Index("ix_retries_user", "user_id", "created_at"),
    Index("ix_retries_created", "created_at"),
    Index("ix_retries_due", "due_at", **where("due_at IS NOT NULL")),
    Index("ix_retries_batch", "batch_id", "created_at", "id", **where("batch_id IS NOT NULL")),
    Index("ix_retries_show", "show_at", **where("show_at IS NOT NULL")),
)

approvals = Table(
    "approvals",
    metadata,
    # One row for everybody who approved a request that takes somebody else's word.
    Column("retry_id", ForeignKey("retries.id"), primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("user_name", Text),
    Column("at", Moment, nullable=False),
)

storms = Table(
    "storms",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    *on_call(),
    *shown(),
    Index("ix_storms_snoozed", "snoozed_until", **where("snoozed_until IS NOT NULL")),
    Index("ix_storms_remind", "remind_at", **where("remind_at IS NOT NULL")),
    Index("ix_storms_show", "show_at", **where("show_at IS NOT NULL")),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    # One row per failure: the job, and what tells this failure from its next one.
    Column("job_id", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("manner", Text, nullable=False),  # how it is shown; see MANNERS
    Column("parent_id", ForeignKey("alerts.id")),  # the job's first alert, in whose thread a repeated failure goes
    Column("storm_id", ForeignKey("storms.id")),
    # How the job stands now; kept in the job's first alert alone.
    Column("state", Text, nullable=False),
    Column("offered", Text, nullable=False),  # the failure that the Retry button stands for
    Column("job", Text, nullable=False),  # JSON, the newest known
    Column("about", Text),  # JSON: what the job is about, and why it failed
    Column("cause", Text),  # why it failed, in one line
    Column("cause_key", Text),  # the same for the same cause; see `sift.cause`
    Column("topic", Text),  # the run, or else the asset, by the name that people know
    Column("look_up_until", Moment),  # until when that is looked up; null: not, or not any more
    Column("retry_id", ForeignKey("retries.id")),  # the newest retry that the bot sent
    Column("muted_by", Text),
    Column("mute_reason", Text),
    Column("creator_id", Text),  # who created the job, as Slack knows them
    *on_call(),
    *shown(),
    CheckConstraint(one_of("manner", MANNERS), name="manner"),
    CheckConstraint(one_of("state", ALERT_STATES), name="state"),
    Index("uq_alerts_failure", "job_id", "failure", unique=True),
    Index("ix_alerts_parent", "parent_id", "created_at", **where("parent_id IS NOT NULL")),
    Index("ix_alerts_created", "created_at"),
    Index("ix_alerts_storm", "storm_id", "created_at", "id", **where("storm_id IS NOT NULL")),
    Index("ix_alerts_new", "channel_id", **where("manner = 'new'")),
    Index("ix_alerts_waiting", "created_at", **where("state IN ('open', 'outside')")),
    Index("ix_alerts_snoozed", "snoozed_until", **where("snoozed_until IS NOT NULL")),
    Index("ix_alerts_remind", "remind_at", **where("remind_at IS NOT NULL")),
    Index("ix_alerts_look_up", "look_up_until", **where("look_up_until IS NOT NULL")),
    Index("ix_alerts_show", "show_at", **where("show_at IS NOT NULL")),
)

digests = Table(
    "digests",
    metadata,
    # What was told of a channel at a time of day; it is kept for days only.
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("content", Text, nullable=False),  # JSON: the message as it was then
    *shown(),
    Index("ix_digests_show", "show_at", **where("show_at IS NOT NULL")),
    Index("ix_digests_created", "created_at"),
)

job_runs = Table(
    "job_runs",
    metadata,
    # Which runs a job belongs to, as far as that was looked up.
    Column("job_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),  # empty: the run does not exist yet
    Column("name_key", Text, primary_key=True),  # the run's name, letter case apart
    Column("name", Text, nullable=False),
    Index("ix_job_runs_run", "run_id"),
    Index("ix_job_runs_name", "name_key"),
)

offers = Table(
    "offers",
    metadata,
    # What somebody was shown privately, to retry or to choose from; it is kept for hours only.
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("content", Text, nullable=False),  # JSON: the run, the failures shown, the reason that goes with them
    Index("ix_offers_user", "user_id", "created_at"),
    Index("ix_offers_created", "created_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("event", Text, nullable=False),
    Column("outcome", Text),
    Column("request_id", Text),
    Column("job_id", Text),
    Column("status_before", Text),
    Column("status_after", Text),
    Column("team_id", Text),
    Column("user_id", Text),
    Column("user_name", Text),
    Column("channel_id", Text),
    Column("source", Text),
    Column("reason", Text),
    Column("grant_id", BigInteger().with_variant(Integer(), "sqlite")),
    Column("detail", Text, nullable=False),  # canonical JSON
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_audit_at", "at", "id"),
    Index("ix_audit_job", "job_id", "at", "id"),
    Index("ix_audit_user", "user_id", "at", "id"),
    Index("ix_audit_request", "request_id", "id"),
    Index("ix_audit_lines", "at", "id", **where(LINES)),
    Index("ix_audit_lines_user", "user_id", "at", "id", **where(LINES)),
    Index("ix_audit_ended", "outcome", "at", "id", **where(ENDED)),
    Index("ix_audit_grants", "grant_id", "id", **where(one_of("event", ("grant", "revoke")))),
)

quotas = Table(
    "quotas",
    metadata,
    # One row for everybody of whom something was recorded within the last minute.
    Column("user_id", Text, primary_key=True),
    Column("team_id", Text),
    Column("since", Moment, nullable=False),  # when the minute began
    Column("recorded", Integer, nullable=False),
    Column("refused", Integer, nullable=False, server_default="0"),  # because it was too many
)

marks = Table(
    "marks",
    metadata,
    Column("name", Text, primary_key=True),  # such as the workspace this database belongs to
    Column("value", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
