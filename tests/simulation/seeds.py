"""Seeds that failed once, with what they showed and the test that holds it on its own.

A seed draws the same run only from the same world: once people do more in it, or the bot takes other steps, the seed
is just one more run. So each of these bugs has a test of its own as well.
"""

FAILED_ONCE = {
    "10": (
        "what a replica whose clock was an hour ahead wrote was shown an hour later",
        "tests/slack/test_outbox.py",
        "test_what_a_process_whose_clock_is_ahead_writes_is_due_by_the_databases_clock",
    ),
    "77": (
        "a clock that was set back by an hour before a process had connected had requests wait that long",
        "tests/app/test_timekeeper.py",
        "test_a_clock_that_is_set_back_while_the_process_starts_is_noticed",
    ),
    "73": (
        "a watcher whose clock was ahead of Sift's from the first start on asked for a time to come, for ever",
        "tests/alerts/test_watcher.py",
        "test_a_clock_that_is_ahead_of_sift_s_from_the_first_start_on_hides_nothing",
    ),
    "1461": (
        "a retry whose unknown outcome was settled by a job that had failed again by then was followed for seven days",
        "tests/retries/test_followed.py",
        "test_what_a_job_showed_while_each_read_counted_counts_once_more_afterwards",
    ),
    "4": (
        "a retry that was read back when its job had ended, before Sift could not be read for a while, never ended",
        "tests/scenarios/test_following.py",
        "test_what_had_ended_when_it_was_read_back_is_told_though_sift_cannot_be_read_just_then",
    ),
    "420": (
        "a process whose clock jumped took what it was sending itself for interrupted",
        "tests/scenarios/test_failing_writes.py",
        "test_what_is_being_sent_is_not_interrupted_whatever_the_clock_says",
    ),
    "3841": (
        "failures that were noted by a commit whose success nobody learnt of were never announced",
        "tests/alerts/test_watcher.py",
        "test_what_was_noted_though_nobody_learnt_of_the_commit_is_announced",
    ),
}
