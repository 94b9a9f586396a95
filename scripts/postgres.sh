#!/usr/bin/env bash
# A throw-away PostgreSQL cluster for tests: runs a command beside it, and leaves nothing.
#   scripts/postgres.sh cargo test --features failpoints
# The command finds the cluster's URL in TEST_POSTGRES, and in TEST_POSTGRES_CTL a pg_ctl
# for it: "$TEST_POSTGRES_CTL" restart --mode immediate. Needs Debian's package
# `postgresql`, or the folder of initdb and pg_ctl in PG_BIN.
set -euo pipefail

if [[ -z ${PG_BIN:-} ]]; then
    for folder in /usr/lib/postgresql/*/bin; do
        [[ ! -x $folder/initdb ]] || PG_BIN=$folder
    done
fi
if [[ ! -x ${PG_BIN:-}/initdb ]]; then
    echo "scripts/postgres.sh: no initdb: install Debian's package postgresql" >&2
    exit 1
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/tidings-postgres.XXXXXX")
# PostgreSQL refuses to run as root.
as=()
if ((EUID == 0)); then
    as=(runuser -u postgres --)
    chown postgres "$folder"
fi
ctl=$folder/ctl
cat >"$ctl" <<END
#!/bin/sh
cd '$folder' && exec ${as[*]} '$PG_BIN/pg_ctl' --pgdata data --log log --silent --wait "\$@"
END
chmod +x "$ctl"
stop() {
    "$ctl" stop --mode immediate || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

(cd "$folder" && "${as[@]}" "$PG_BIN/initdb" --pgdata "$folder/data" --username tidings \
    --auth trust --encoding UTF8 --locale C.UTF-8 >"$folder/initdb.log")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# As safe as a real one, and room for many test servers at once.
cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$folder'
max_connections = 500
shared_buffers = 256MB
max_wal_size = 4GB
autovacuum_naptime = 10s
END
"$ctl" start || {
    cat "$folder/log" >&2
    exit 1
}

export TEST_POSTGRES="postgres://tidings@127.0.0.1:$port/postgres"
export TEST_POSTGRES_CTL=$ctl
"$@"
