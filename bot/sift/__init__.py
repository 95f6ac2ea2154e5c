"""Sift's REST API: jobs in, typed errors out. The only place that knows HTTP status codes."""
