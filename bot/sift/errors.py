"""What Sift may refuse, and what it may leave open."""


class SiftError(Exception):
    """Sift did not do that."""

    name = "sift_error"

    def __init__(self, said: str | None = None) -> None:
        self.said = said
        default = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{default} (Sift: {said})" if said else default)


class Unauthenticated(SiftError):
    """Sift does not accept the bot's API key."""

    name = "unauthenticated"


class PermissionDenied(SiftError):
    """The user of the bot's Sift key may not do that."""

    name = "permission_denied"


class NotFound(SiftError):
    """Sift knows nothing by that ID."""

    name = "not_found"


class CannotBeRetried(SiftError):
    """Sift says that the job cannot be retried."""

    name = "cannot_be_retried"


class InvalidArgument(SiftError):
    """Sift did not accept the request."""

    name = "invalid_argument"


class Conflict(SiftError):
    """Something else is being done with the job in Sift."""

    name = "conflict"


class RateLimited(SiftError):
    """Sift is limiting requests, and did not process this one."""

    name = "rate_limited"

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


class TooLong(SiftError):
    """The request was too long for something on the way to Sift."""

    name = "too_long"


class AnswerTooLarge(SiftError):
    """Sift's answer was larger than any that makes sense."""

    name = "answer_too_large"
