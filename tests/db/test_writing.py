"""Writes that are repeated while the database is away."""

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from bot.db.writing import FIRST_PAUSE, LONGEST_WRITE_PAUSE, until_written


class Flaky:
    """A write that fails so many times before it is taken, and the pauses between its tries."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.pauses: list[float] = []

    async def write(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "written"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def away() -> OperationalError:
    return OperationalError("UPDATE", {}, Exception("the connection was closed"))


async def test_a_write_is_repeated_until_the_database_takes_it() -> None:
    flaky = Flaky(*(away() for _ in range(9)))
    assert await until_written(flaky.write, seconds=50, sleep=flaky.sleep) == "written"
    assert flaky.pauses[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert flaky.pauses[-1] == LONGEST_WRITE_PAUSE


async def test_a_write_is_given_up_when_the_lease_is_over() -> None:
    flaky = Flaky(*(away() for _ in range(9)))
    with pytest.raises(OperationalError):
        await until_written(flaky.write, seconds=FIRST_PAUSE / 2, sleep=flaky.sleep)
    assert flaky.pauses == []


async def test_what_does_not_pass_is_raised_at_once() -> None:
    flaky = Flaky(IntegrityError("UPDATE", {}, Exception("duplicate")))
    with pytest.raises(IntegrityError):
        await until_written(flaky.write, seconds=50, sleep=flaky.sleep)
    assert flaky.pauses == []
