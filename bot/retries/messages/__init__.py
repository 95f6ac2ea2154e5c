"""What is shown of retries: facts → messages and modals. Pure."""
