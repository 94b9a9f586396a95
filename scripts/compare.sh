#!/usr/bin/env bash
# What one binary costs beside another: both run `tidings bench` at the same time, so that whatever
# makes the machine slower meets both, and the server's CPU per delivery is compared.
#   scripts/compare.sh OLD NEW [rounds, default 4] [arguments for bench, default --duration 1s]
# Prints for each load NEW / OLD of every round, and their geometric mean. Takes half a minute a round.
# Figures are lower than those of a binary alone, as each has half of the machine.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
old=$1 new=$2 rounds=${3:-4}
shift $(($# < 3 ? $# : 3))
(($#)) || set -- --duration 1s
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    "$old" bench "$@" --json "$folder/old.$round" >/dev/null 2>&1 &
    first=$!
    "$new" bench "$@" --json "$folder/new.$round" >/dev/null 2>&1
    wait "$first"
done
python3 - "$folder" "$rounds" <<'END'
import json, math, sys

folder, rounds = sys.argv[1], int(sys.argv[2])
costs = {"old": {}, "new": {}}
for name, loads in costs.items():
    for n in range(1, rounds + 1):
        with open(f"{folder}/{name}.{n}") as file:
            for phase in json.load(file)["phases"]:
                loads.setdefault(phase["name"], []).append(phase["server"]["cpu_us_per_delivery"])
print("CPU per delivery, new / old")
for load, old in costs["old"].items():
    ratios = [b / a for a, b in zip(old, costs["new"][load])]
    mean = math.exp(sum(map(math.log, ratios)) / rounds)
    print(f"  {load:44} {mean:.3f}   {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
END
