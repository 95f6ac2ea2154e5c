"""What Sift may refuse, and what it may leave open."""


class SiftError(Exception):
    """Sift did not do that."""

    name = "sift_error"
    of_a_read = ""
    """What the error means of a call that only reads, where that differs from its docstring."""

    def __init__(self, said: str | None = None) -> None:
        self.said = said
        super().__init__(self._with_what_sift_said((type(self).__doc__ or "").strip().splitlines()[0]))

    @property
    def when_reading(self) -> str:
        """The error in words that are true of a call that only reads: nothing was to be done, nothing is in doubt."""
        return self._with_what_sift_said(self.of_a_read) if self.of_a_read else str(self)

    def _with_what_sift_said(self, words: str) -> str:
        return f"{words} (Sift: {self.said})" if self.said else words


class Unauthenticated(SiftError):
    """Sift does not accept the bot's API key."""

    name = "unauthenticated"


class PermissionDenied(SiftError):
    """The user of the bot's Sift key may not do that."""

    name = "permission_denied"
    of_a_read = "The user of the bot's Sift key may not read that."


class NotFound(SiftError):
    """Sift knows nothing by that ID."""

    name = "not_found"


class CannotBeRetried(SiftError):
    """Sift says that the job cannot be retried."""

    name = "cannot_be_retried"
    of_a_read = "Sift did not accept the question."


class InvalidArgument(SiftError):
    """Sift did not accept the request."""

    name = "invalid_argument"
    of_a_read = "Sift did not accept the question."


class Conflict(SiftError):
    """Something else is being done with the job in Sift."""

    name = "conflict"


class RateLimited(SiftError):
    """Sift is limiting requests, and did not process this one."""

    name = "rate_limited"
    of_a_read = "Sift is limiting requests."

    def __init__(self, said: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class MustWait(RateLimited):
    """Sift is limiting requests, and asks to wait for longer than a call may take; it did not process this one."""


class Unreachable(SiftError):
    """Sift cannot be reached: no connection was made."""

    name = "unreachable"


class OutcomeUnknown(SiftError):
    """Sift gave no clear answer, so the request may or may not have been processed."""

    name = "unknown"
    of_a_read = "Sift gave no clear answer."


class ConnectionLost(OutcomeUnknown):
    """Sift gave no clear answer, so the request may or may not have been processed.

    The connection ended before an answer: perhaps one that had lain idle for too long.
    """


class TooLong(SiftError):
    """The request was too long for something on the way to Sift."""

    name = "too_long"


class AnswerTooLarge(SiftError):
    """Sift's answer was larger than any that makes sense."""

    name = "answer_too_large"
