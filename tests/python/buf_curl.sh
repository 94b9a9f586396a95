#!/usr/bin/env bash
# Another foreign client: buf curl, which knows of Tidings what reflection says.
#
#   buf_curl.sh BUF BINARY
#
# Every wait has a deadline; nothing sleeps.
set -euo pipefail

buf=$1 binary=$2
directory=$(mktemp -d)
server=
clean_up() {
    if [[ -n $server ]]; then kill -9 "$server" 2>/dev/null || true; fi
    rm -rf "$directory"
}
trap clean_up EXIT

fail() {
    echo "buf_curl.sh: $*" >&2
    exit 1
}

# Calls a path, with the options after it, and keeps the answer: without blanks,
# because JSON of protobuf has them as it likes.
call() {
    timeout 30 "$buf" curl --http2-prior-knowledge --protocol grpc "http://$address$1" "${@:2}" |
        tr -d '[:blank:]' >"$directory/answer" || fail "$* failed"
}

expect() {
    grep -qF -- "$1" "$directory/answer" || fail "expected $1 in: $(cat "$directory/answer")"
}

exec {lines}< <(exec "$binary" serve --dev --listen 127.0.0.1:0 \
    --database "sqlite:$directory/tidings.db")
server=$!
read -r -t 30 line <&"$lines" || fail "the server said nothing"
[[ $line == "listening on 127.0.0.1:"* ]] || fail "the first line is: $line"
address=${line#listening on }

call "" --list-services
for service in Webhook Event EventLog EventMetadata; do
    expect "tidings.v1.${service}Service"
done

# Nobody listens there: the delivery fails and is retried later.
call /tidings.v1.WebhookService/CreateWebhook -d '{"webhook": {
    "name": "buf", "eventNames": ["*"],
    "destination": {"http": {"url": "http://127.0.0.1:9/"}}}}'
expect '"state":"WEBHOOK_STATE_ACTIVE"'

call /tidings.v1.EventService/PublishEvent \
    -d '{"event": {"eventName": "pointsIssued", "object": {"points": 5}}}'
expect '"matchedWebhookCount":1'

call /tidings.v1.EventLogService/TailEventLogs \
    -d '{"position": "TAIL_START_EARLIEST", "stopWhenCaughtUp": true}'
expect '"opened":'
expect '"CHANGE_KIND_ACCEPTED"'
expect '"caughtUp":'

kill -TERM "$server"
# A wait has no deadline, but the end of the server's output has one.
end=0
read -r -t 30 line <&"$lines" || end=$?
((end != 0)) || fail "a second line on standard output: $line"
((end <= 128)) || fail "the server does not end"
wait "$server" || fail "the server ended with $?"
server=
echo "buf curl: all calls answered"
