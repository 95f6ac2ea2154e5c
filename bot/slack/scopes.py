"""The scopes of the bot's token: what each is for, and what goes without the optional ones. Pure."""

NEEDED = {
    "app_mentions:read": "hears @mentions in threads",
    "chat:write": "posts and updates messages",
    "chat:write.public": "posts in public channels that it is not in",
    "commands": "hears /sift-retry and the message shortcut",
    "files:write": "sends exports of the audit",
    "usergroups:read": "knows who is in a user group",
    "users:read": "knows guests, bots and deactivated people",
}
"""Without these the bot cannot do what it is for; `app_manifest.yml` asks for them."""

OPTIONAL = {
    "channels:history": "without it a crash may repeat the message being posted then in public channels, never a retry",
    "channels:read": "without it nothing tells whether a public channel is archived",
    "groups:history": "without it a crash may repeat the message being posted then in private channels, never a retry",
    "users:read.email": "without it nobody is told that a job of theirs failed (NOTIFY_CREATOR)",
    "groups:read": "without it nothing tells whether a private channel is archived",
}
"""What whoever installs the app may decline, each with what then does not work."""
