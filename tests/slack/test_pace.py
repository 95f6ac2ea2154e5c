"""How fast Slack is called, and in which order: arithmetic, with the time passed in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.pace import BACK_WITHIN, LATE_SECONDS, MAX_WAITING, RATES, Pace, Queue, Rate, Turn

POSTS = Rate(1.0, 3)


def test_a_burst_leaves_at_once_and_then_one_a_second() -> None:
    queue = Queue(POSTS)
    assert [queue.ask(Turn(number), 100.0) for number in range(6)] == [0, 0, 0, 1, 2, 3]
    assert [queue.ask(Turn(number), 101.0) for number in (3, 4, 5)] == [0, 1, 2]
    assert queue.ask(Turn(6), 110.0) == 0, "those who did not come back by now"


def test_who_stands_behind_lets_others_go_first() -> None:
    queue = Queue(Rate(1.0, 1))
    assert queue.ask(Turn("first"), 100.0) == 0
    assert queue.ask(Turn("ending", behind=60), 100.0) == 1
    assert queue.ask(Turn("announcement"), 100.5) == 0.5
    assert queue.ask(Turn("ending", behind=60), 101.0) == 1, "it was asked for later, and goes first"
    assert queue.ask(Turn("announcement"), 101.0) == 0
    assert queue.ask(Turn("ending", behind=60), 102.0) == 0


def test_nobody_stands_behind_for_ever() -> None:
    queue, at, asked = Queue(Rate(1.0, 1)), 100.0, 0
    queue.ask(Turn("before"), at)
    while queue.ask(Turn("ending", behind=60), at) > 0:
        queue.ask(Turn(f"announcement {asked - 1}"), at)
        queue.ask(Turn(f"announcement {asked}"), at)  # always one more than there are calls
        at, asked = at + 1, asked + 1
        assert at < 200
    assert at > 150


def test_a_channel_that_is_shut_lets_nobody_call_and_keeps_the_order() -> None:
    queue = Queue(POSTS)
    assert [queue.ask(Turn(number), 100.0, shut=40) for number in range(3)] == [40, 41, 42]
    assert [queue.ask(Turn(number), 140.0) for number in range(3)] == [0, 0, 0]


def test_nobody_is_told_to_come_back_in_an_hour_and_the_queue_is_bounded() -> None:
    queue = Queue(POSTS)
    waits = [queue.ask(Turn(number), 100.0) for number in range(MAX_WAITING * 3)]
    assert max(waits) == BACK_WITHIN
    assert queue.idle_at <= 100 + BACK_WITHIN + LATE_SECONDS


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.sampled_from([0, 60])), max_size=200))
def test_no_more_calls_leave_than_the_rate_allows(asked: list[tuple[float, int, int]]) -> None:
    queue, now, left = Queue(POSTS), 50.0, []
    for pause, key, behind in asked:
        now += pause
        if queue.ask(Turn(key, behind), now) == 0:
            left.append(now)
    for number, since in enumerate(left):
        for more, at in enumerate(left[number:], start=1):
            assert more <= POSTS.burst + (at - since) / POSTS.seconds + 0.01


def in_channel(channel: str) -> dict[str, object]:
    return {"channel": channel}


def test_a_channel_that_answered_429_stops_and_the_others_do_not() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.slow_down("chat.postMessage", in_channel("C1"), 7)
    assert pace.ask("chat.postMessage", in_channel("C1"), Turn(1)) == 7
    assert pace.ask("chat.update", in_channel("C1"), Turn(1)) == 7
    assert pace.ask("chat.postEphemeral", in_channel("C1"), Turn(1)) == 7
    assert pace.ask("chat.postMessage", in_channel("C2"), Turn(1)) == 0
    assert pace.ask("chat.update", in_channel("C2"), Turn(2)) == 0
    assert pace.ask("conversations.replies", in_channel("C1"), Turn(1)) == 0
    assert pace.left("users.info") == 0
    now[0] += 7
    assert pace.ask("chat.postMessage", in_channel("C1"), Turn(1)) == 0


def test_after_a_429_there_is_no_burst() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.slow_down("chat.postMessage", in_channel("C1"), 1)
    now[0] += 1
    assert [pace.ask("chat.postMessage", in_channel("C1"), Turn(number)) for number in range(3)] == [0, 1, 2]


def test_channels_at_rest_are_forgotten() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    for number in range(500):
        assert pace.ask("chat.postMessage", in_channel(f"C{number}"), Turn(number)) == 0
    assert len(pace) == 500
    now[0] += RATES["chat.postMessage"].seconds + 0.1
    assert len(pace) == 0


def test_updates_of_a_channel_that_is_shut_hold_up_no_other_channel_s() -> None:
    pace = Pace(lambda: 100.0)
    pace.slow_down("chat.postMessage", in_channel("C1"), 7)
    assert {pace.ask("chat.update", in_channel("C1"), Turn(number)) for number in range(100)} == {7}
    burst = RATES["chat.update"].burst
    asked = [pace.ask("chat.update", in_channel("C2"), Turn(f"other {number}")) for number in range(burst + 1)]
    assert asked == [0] * burst + [pytest.approx(RATES["chat.update"].seconds)]


def test_who_gives_up_makes_room() -> None:
    pace = Pace(lambda: 100.0, {"chat.postMessage": Rate(1.0, 1)})
    asked = [pace.ask("chat.postMessage", in_channel("C1"), Turn(number)) for number in range(2)]
    pace.leave("chat.postMessage", in_channel("C1"), Turn(1))
    assert [*asked, pace.ask("chat.postMessage", in_channel("C1"), Turn(2))] == [0, 1, 1]
