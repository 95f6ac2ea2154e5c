"""sift-retry-bot: retries failed Sift jobs from Slack and remembers who asked."""
