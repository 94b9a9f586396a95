#!/bin/sh
# What dead destinations with a long backlog do to healthy ones, to memory and to a
# restart. Prints figures; takes about three minutes; sends to 127.0.0.1 only.
set -eu
cd "$(dirname "$0")/.."
exec cargo bench --bench soak "$@"
