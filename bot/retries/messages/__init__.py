"""The presenter: facts → Message. The only place that knows Block Kit and the words people read."""
