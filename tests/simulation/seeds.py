"""Seeds that failed once, with what they showed; they stay, so that it does not come back."""

FAILED_ONCE = {
    "73": "a watcher whose clock was ahead of Sift's from the first start on asked for a time to come, for ever",
}
