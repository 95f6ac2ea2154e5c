"""What Prometheus may ask for."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from bot.base.tracing import WAITED

MOST_RESULTS = 60
"""So many results of calls to Slack have series of their own; Slack names its errors as it likes."""

_QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3)
_WHILE_SOMEBODY_LOOKS = (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 60, 300)


class Found(NamedTuple):
    """What was looked up.

    Args:
        requests: how many are open, by state.
        overdue: seconds since the most overdue of those that nobody began was due.
        waiting: failures that are alerted and still failed: those that nobody took, and those that somebody did.
        entries: of the audit.
        ahead: seconds by which the newest change read of Sift's lies ahead of our clock; None: not watched.
    """

    requests: dict[str, int]
    overdue: float
    waiting: tuple[int, int]
    entries: int
    ahead: float | None


class State:
    """How things stand now, as far as the database and `/readyz` tell."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._open = self._gauge("sift_retry_open_requests", "Requests that have not ended, by state.", "state")
        self._overdue = self._gauge(
            "sift_retry_queue_overdue_seconds", "For how long the most overdue request has been due that nobody began."
        )
        self._waiting = self._gauge(
            "sift_retry_waiting_alerts",
            "Alerted failures that are still failed, by whether somebody took them.",
            "taken",
        )
        self._entries = self._gauge("sift_retry_audit_entries", "Number of the audit's newest entry.")
        self._ahead = self._gauge(
            "sift_retry_watermark_ahead_seconds",
            "By how much the newest change read of Sift's lies ahead of our clock; negative: behind.",
        )
        self._read = self._gauge("sift_retry_database_read", "Whether what the database tells here is current: 1 or 0.")
        self._ready = self._gauge("sift_retry_ready", "Whether requests can be taken, as /readyz says: 1 or 0.")
        self._degraded = self._gauge(
            "sift_retry_degraded", "What does not work as it should, as /readyz names it.", "name"
        )
        self._works = self._gauge("sift_retry_database_works", "Transactions that wait for the database's thread.")

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry)

    def found(self, found: Found | None) -> None:
        """Shows what was looked up in the database; None: it could not be read, and what was known stays."""
        self._read.set(found is not None)
        if found is None:
            return
        for state, count in found.requests.items():
            self._open.labels(state).set(count)
        self._overdue.set(found.overdue)
        for taken, count in zip(("no", "yes"), found.waiting, strict=True):
            self._waiting.labels(taken).set(count)
        self._entries.set(found.entries)
        if found.ahead is not None:
            self._ahead.set(found.ahead)

    def health(self, ready: bool, degraded: Iterable[str], works: int) -> None:
        """Shows what `/readyz` says, and how many transactions wait."""
        self._ready.set(ready)
        self._degraded.clear()
        for name in degraded:
            self._degraded.labels(name).set(1)
        self._works.set(works)


class Socket:
    """How the Socket Mode connection stands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connected = Gauge(
            "sift_retry_socket_connected", "Whether Slack can reach the bot: 1 or 0.", registry=registry
        )
        self._connections = Counter(
            "sift_retry_socket_connections",
            "Connections that came up: the first, and each that took the place of one.",
            registry=registry,
        )

    def looked_at(self, connected: bool, new: bool) -> None:
        """Notes whether the socket is connected, and whether that is another connection than before."""
        self._connected.set(connected)
        if new:
            self._connections.inc()


class Metrics:
    """One process's metrics, in a registry of their own.

    Args:
        socket_mode: whether there is a socket to tell of.
    """

    def __init__(self, *, socket_mode: bool = True) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter("sift_retry_requests", "Requests recorded.", ["source"], registry=self.registry)
        self._outcomes = Counter("sift_retry_outcomes", "States entered.", ["state"], registry=self.registry)
        self._acks = Histogram(
            "sift_retry_ack_seconds",
            "From Slack's request to the ack, the record included.",
            buckets=_QUICK,
            registry=self.registry,
        )
        self._messages = Histogram(
            "sift_retry_message_seconds",
            "From a request's record, which its ack waits for, to the first message that tells of it.",
            buckets=_WHILE_SOMEBODY_LOOKS,
            registry=self.registry,
        )
        self._calls = Histogram(
            "sift_retry_sift_call_seconds", "Calls to Sift.", ["operation", "result"], registry=self.registry
        )
        self._slack_calls = Histogram(
            "sift_retry_slack_call_seconds", "Calls to Slack.", ["method", "result"], registry=self.registry
        )
        self._waits = Counter(
            "sift_retry_waited_seconds",
            "For how long calls waited, or what they are made for was put off, since Slack or Sift asks for it.",
            ["peer", "call"],
            registry=self.registry,
        )
        self._left_out = Counter(
            "sift_retry_unreadable_jobs",
            "Jobs of Sift's answers that could not be read or recorded, counted each time.",
            ["why"],
            registry=self.registry,
        )
        self._last_good_poll = Gauge(
            "sift_retry_last_good_poll_timestamp_seconds",
            "When Sift was last read for new failures, by whichever process watches.",
            registry=self.registry,
        )
        self._slack_results: set[str] = set()
        self.state = State(self.registry)
        self.socket = Socket(self.registry) if socket_mode else None

    def requested(self, source: str, jobs: int = 1) -> None:
        """Counts recorded requests, one per job."""
        self._requests.labels(source).inc(jobs)

    def entered(self, state: str) -> None:
        """Counts a state that a request entered."""
        self._outcomes.labels(state).inc()

    def acked(self, seconds: float) -> None:
        """Notes how long Slack waited for an ack."""
        self._acks.observe(seconds)

    def told(self, waited: timedelta) -> None:
        """Notes how long somebody waited for the first message that tells of what they asked for."""
        self._messages.observe(max(0.0, waited.total_seconds()))

    def called(self, operation: str, seconds: float, result: str) -> None:
        """Notes one call to Sift, or a wait before one."""
        if result == WAITED:
            self._waits.labels("sift", operation).inc(seconds)
        else:
            self._calls.labels(operation, result).observe(seconds)

    def called_slack(self, method: str, seconds: float, result: str) -> None:
        """Notes one call to Slack, or a wait before one."""
        if result == WAITED:
            self._waits.labels("slack", method).inc(seconds)
        else:
            if len(self._slack_results) < MOST_RESULTS:
                self._slack_results.add(result)
            known = result if result in self._slack_results else "other"
            self._slack_calls.labels(method, known).observe(seconds)

    def left_out(self, why: str) -> None:
        """Counts a job that was left out."""
        self._left_out.labels(why).inc()

    def polled(self, at: datetime) -> None:
        """Notes when the last good poll was."""
        self._last_good_poll.set(at.timestamp())

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
