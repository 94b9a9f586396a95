#!/bin/sh
# What growth costs: more webhooks, tenants and rows in the log, each figure beside its target.
# Takes ten minutes, on a slow machine half an hour, and 6 GB of disk; sends to 127.0.0.1 only. For a try:
#   scripts/scale.sh --rows 200000 --seconds 2 --rounds 1
#   scripts/scale.sh webhooks tenants
# What a delivery costs with many webhooks and tenants beside another build, both at the same time:
#   scripts/scale.sh --old OTHER/tidings
# On PostgreSQL, where TEST_POSTGRES names a server: scripts/postgres.sh scripts/scale.sh
# A million waiting deliveries, their memory and the start with them: scripts/soak.sh.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${TEST_POSTGRES:-}" ]; then
    set -- --database "$TEST_POSTGRES" "$@"
fi
exec cargo bench --bench scale -- "$@"
