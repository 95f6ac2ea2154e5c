"""`sift-retry audit …`: who retried what, and what came of it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click
from sqlalchemy import Connection, Row

from bot.audit import archive, export, signing, verification
from bot.audit import entry as audit_entry
from bot.audit import log as audit
from bot.audit.signing import SignedHead
from bot.base.clock import rfc3339, utc_now
from bot.base.requester import Source
from bot.cli.parameters import HEAD, MOMENT
from bot.cli.session import one_line, opened, operator, signing_key, target, tidying_up, transaction, watched
from bot.db import marks
from bot.db.tables import STATES
from bot.slack.links import permalink


@click.group("audit")
def audit_group() -> None:
    """Who retried what, and what came of it."""


class _Given(TypedDict):
    """The options of `_filters`."""

    job_id: str | None
    user_id: str | None
    run: str | None
    since: datetime | None
    until: datetime | None
    outcome: str | None


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which entries are chosen."""
    for option in (
        click.option("--outcome", type=click.Choice(STATES), help="Only entries with this outcome."),
        click.option("--until", type=MOMENT, help="Before this moment."),
        click.option("--since", type=MOMENT, help="From this moment on: a date, RFC 3339, or a time ago (7d)."),
        click.option("--run", help="Only jobs that belong to this Sift run: its ID, or its name in any letter case."),
        click.option("--user", "user_id", help="Only what this Slack user did."),
        click.option("--job", "job_id", help="Only this job."),
    ):
        command = option(command)
    return command


@audit_group.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def audit_list(limit: int, **given: Unpack[_Given]) -> None:
    """Lists the newest entries, newest first."""
    filters = _filters_of(given)
    with transaction() as connection:
        rows = audit.page(connection, filters, limit=limit)
        _note_reading(connection, "list", given)
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("no entries", err=True)


@audit_group.command("show")
@click.argument("request_id", metavar="REQUEST")
def audit_show(request_id: str) -> None:
    """Prints the whole story of one request, oldest entry first; REQUEST is the reference that Slack shows."""
    with transaction() as connection:
        rows = audit.story(connection, request_id.lower())
        workspace_url = marks.read(connection, "workspace_url")
        _note_reading(connection, "show", {"request": request_id})
    if not rows:
        raise click.ClickException(f"no entries of a request {request_id}")
    for row in rows:
        click.echo(f"{rfc3339(row.at)}  {row.event} {row.outcome or ''}".rstrip())
        for name in ("job_id", "user_id", "user_name", "team_id", "channel_id", "source", "reason", "grant_id"):
            if row._mapping[name] is not None:
                click.echo(f"    {name}: {one_line(str(row._mapping[name]))}")
        if row.status_before or row.status_after:
            click.echo(f"    job: {row.status_before or '-'} → {row.status_after or '-'}")
        detail = json.loads(row.detail)
        if workspace_url and row.channel_id and detail.get("thread_ts"):
            click.echo(f"    permalink: {permalink(workspace_url, row.channel_id, detail['thread_ts'])}")
        for name, value in sorted(detail.items()):
            click.echo(f"    {name}: {one_line(value if isinstance(value, str) else json.dumps(value))}")


@audit_group.command("export")
@_filters
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="A file, not stdout.")
def audit_export(form: str, output: Path | None, **given: Unpack[_Given]) -> None:
    """Writes every entry that fits, oldest first; the head of the chain goes to stderr."""
    filters = _filters_of(given)
    signer = signing_key()
    with opened(current=True) as database:
        with database.transaction() as connection:
            _note_reading(connection, f"export {form}", given)
        with database.reading() as connection, target(output) as file:
            head = audit.head(connection)
            watch = watched("exporting", head.count - audit.base(connection).count)
            count = export.WRITERS[form](watch(audit.written(connection, filters)), file)
    signed = signer.sign(head)
    named = f"{head.count} {head.hash}" if signed.signature is None else str(signed)
    click.echo(f"{count} entries; head of the chain: {named}", err=True)


@audit_group.command("verify")
@click.option(
    "--head", "given", type=HEAD, help="A head written down earlier: COUNT:HASH[:SIGNATURE], or the hash alone."
)
@click.option(
    "--segment",
    "segments",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="An archived segment, verified together with the log; may be given several times.",
)
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key that must have signed the head and the segments.",
)
def audit_verify(given: SignedHead | None, segments: tuple[Path, ...], public_key: Path | None) -> None:
    """Recomputes the whole chain; exit 1 and the first bad entry, or what the tables say otherwise than the log."""
    key = signing.public_key(public_key) if public_key else None
    if key is not None and given is not None:
        signing.check(key, given, "the given head")
    with opened(current=True) as database:
        expected = given.head if given else None
        found = verification.verify(database, expected, segments, key, lambda count: watched("verifying", count))
    for line in found.said:
        click.echo(line)
    click.echo(f"{found.head.count} entries, unbroken; head {found.head.hash}")
    for name, count in found.unchecked.items():
        if count:
            click.echo(f"{count} {name} began before these entries, and were not checked: give all segments", err=True)
    if key is not None and given is None and not segments:
        click.echo("no signature was checked: give --head or --segment", err=True)


@audit_group.command("anchor")
def audit_anchor() -> None:
    """Prints the head of the chain, to be kept where nobody who runs the bot can change it."""
    signer = signing_key()
    with transaction() as connection:
        head = audit.head(connection)
    click.echo(f"{rfc3339(utc_now())} {signer.sign(head)}")


@audit_group.command("keygen")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("audit-signing-key.pem"),
    show_default=True,
    help="A file that does not exist yet.",
)
def audit_keygen(output: Path) -> None:
    """Writes a new private key for AUDIT_SIGNING_KEY_FILE, and prints the public key, for auditors."""
    try:
        public = signing.make_key(output)
    except FileExistsError:
        raise click.ClickException(f"{output} exists already; choose another --output") from None
    click.echo(public, nl=False)
    click.echo(f"the private key is in {output}; set AUDIT_SIGNING_KEY_FILE, and keep it from the database", err=True)


@audit_group.command("archive")
@click.option("--before", type=MOMENT, required=True, help="Entries from before this moment: a date, or a time ago.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, exists=False, path_type=Path),
    help="The segment's file; named for its date.",
)
def audit_archive(before: datetime, output: Path | None) -> None:
    """Moves old entries into a sealed, verifiable file; the chain goes on from where it ends.

    Stopped midway, it takes away what it began, and the log is as it was.
    """
    now, file = utc_now(), output or Path(f"audit-before-{before:%Y-%m-%d}.jsonl")
    if before > now:
        raise click.BadParameter("that is still to come", param_hint="--before")
    if file.exists():
        raise click.ClickException(f"{file} exists already; choose another --output")
    signer = signing_key()
    with opened(current=True) as database, tidying_up():
        try:
            segment = archive.archive(database, before, file, operator(), now, signer, _watch)
        except BaseException:
            if file.exists():
                click.echo(
                    f"{file} stays: whether its entries left the database is not known, see audit verify", err=True
                )
            raise
    first, head = segment.before.count + 1, SignedHead(segment.after, segment.signature)
    click.echo(f"entries {first} to {head.head.count} are in {file}; head after them: {head}")


def _watch(what: str, count: int, items: Iterable[Any]) -> Iterable[Any]:
    return watched(what, count)(items)


def _line(row: Row[Any]) -> str:
    who = f"{row.user_name or ''} ({row.user_id})".strip() if row.user_id else "-"
    status = " → ".join(filter(None, (row.status_before, row.status_after))) or "-"
    cells = [rfc3339(row.at)[:19] + "Z", row.event, row.outcome or "-", row.job_id or "-", who, status]
    return "\t".join([*cells, row.request_id or "-", one_line(row.reason)]).rstrip()


def _filters_of(given: _Given) -> audit_entry.Filters:
    job_id = given["job_id"]
    return replace(audit_entry.Filters(**given), job_id=job_id.lower() if job_id else None)


def _note_reading(connection: Connection, what: str, given: Mapping[str, object]) -> None:
    """Reading the audit is an entry of its own."""
    filters = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in given.items() if value}
    entry = audit_entry.Entry(
        event=audit_entry.Event.AUDIT_READ,
        user_id=operator(),
        source=Source.CLI,
        detail={"what": what, "filters": filters},
    )
    audit.append(connection, entry, utc_now())
