"""Seeds that failed once, with what they showed; they stay, so that it does not come back."""

FAILED_ONCE = {
    "73": "a watcher whose clock is ahead of Sift's from the first start on looked for failures of the future, for ever",
}
