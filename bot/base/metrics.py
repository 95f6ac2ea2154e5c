"""What Prometheus may ask for."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

_QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
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
        self._calls = Histogram(
            "sift_retry_sift_call_seconds", "Calls to Sift.", ["operation", "result"], registry=self.registry
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

    def requested(self, source: str, jobs: int = 1) -> None:
        """Counts recorded requests, one per job."""
        self._requests.labels(source).inc(jobs)

    def entered(self, state: str) -> None:
        """Counts a state that a request entered."""
        self._outcomes.labels(state).inc()

    def acked(self, seconds: float) -> None:
        """Notes how long Slack waited for an ack."""
        self._acks.observe(seconds)

    def called(self, operation: str, seconds: float, result: str) -> None:
        """Notes one call to Sift."""
        self._calls.labels(operation, result).observe(seconds)

    def left_out(self, why: str) -> None:
        """Counts a job that was left out."""
        self._left_out.labels(why).inc()

    def polled(self, at: datetime) -> None:
        """Notes when the last good poll was."""
        self._last_good_poll.set(at.timestamp())

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
