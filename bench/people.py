"""Who types in the bench: people of their own, since the bot gives none of them the places of all."""

PEOPLE = tuple(f"U0TYPIST{number:03}" for number in range(100))
"""Their user IDs; all of them may retry."""
