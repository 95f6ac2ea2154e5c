"""A Slack bot that retries failed Sift jobs and remembers who asked."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("sift-retry-bot")
except PackageNotFoundError:  # run from a directory that was never installed
    VERSION = "unknown"
"""The version that is running, as the audit names it."""
