#!/bin/sh
# What dead destinations with a long backlog do to healthy ones, to memory and to a
# restart. Prints figures; takes about six minutes, and 3 GB of disk; sends to 127.0.0.1 only.
# On PostgreSQL, where TEST_POSTGRES names a server: scripts/postgres.sh scripts/soak.sh
set -eu
cd "$(dirname "$0")/.."
if [ -n "${TEST_POSTGRES:-}" ]; then
    set -- --database "$TEST_POSTGRES" "$@"
fi
exec cargo bench --bench soak "$@"
