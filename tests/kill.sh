#!/bin/sh
# Kills the daemon again and again, at random and at each write, sync and send in turn, also while AI Core is away and a
# run tries again, and compares the books of the tenant, the mail server and the ledger: no firing twice, no stop
# repeated, none lost, no mail lost.
# Usage: tests/kill.sh [KILLS]; 60 kills take half a minute, 10000 about an hour. SEED=n repeats a run.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v strace >/dev/null || apt-get install -y -qq strace >/dev/null
cd "$here/.."
KILLS=${1:-150} exec cargo test --quiet --test program -- --ignored --exact --nocapture \
    process::loops::a_daemon_that_is_killed_all_the_time_does_everything_once
