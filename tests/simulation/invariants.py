from typing import Any


class Watch:
    def __init__(self, world: Any) -> None:
        self.world = world

    def at_rest(self) -> None: ...

    def at_the_end(self) -> None: ...


def stirring(world: Any) -> list[str]:
    found = [f"{row['state']} {row['id']}" for row in world.rows("select id, state from retries where state in ('requested','sending','unknown','accepted') and not (state='requested' and approval_until is not null)")]
    for table in ("retries", "batches", "alerts", "storms"):
        found += [f"{table} {row['id']} to be shown" for row in world.rows(f"select id from {table} where show_at is not null")]
    return found
