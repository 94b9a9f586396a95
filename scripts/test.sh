#!/usr/bin/env bash
# Everything that must hold before a change is taken in, from formatting to clients
# in other languages. Needs Rust and git; what else is missing is installed: tools
# below the target directory, system packages with apt where that is allowed. Stops
# at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# buf's image of the contract as clients have it. There is no release yet, but the
# contract is public, so it is the contract as it was first shown. With a release:
#   buf build --exclude-source-info --path proto/tidings -o proto/released.binpb
released=proto/released.binpb
buf_version=1.75.0
# The official libraries: that for JavaScript here, that for Python in the requirements.
standardwebhooks_version=1.1.1
# What browsers have; the last one that runs with Debian's node.
eventsource_version=3.0.7
requirements=tests/python/requirements.txt
# What checks the files that containers are built and run by; apart, for what they need
# themselves does not go with the others.
deployment_requirements=tests/python/deployment-requirements.txt

target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
# The same features and profile in all steps, so that nothing is built twice.
features=(--features failpoints)
binary=$target/debug/tidings

current=
stop() {
    trap - EXIT
    echo "scripts/test.sh: FAILED: $*" >&2
    exit 1
}
trap '[[ $? -eq 0 ]] || stop "$current"' EXIT

# Ends a command that runs in the background when the script is interrupted.
running=
trap '[[ -z $running ]] || kill "$running" 2>/dev/null; exit 130' INT TERM

# Runs one step: the seconds that it may take, a name, then the command, or a function
# of this script. The limits have room for builds from nothing; a command that hangs
# ends with them.
times=()
step() {
    local limit=$1 start=$SECONDS
    current=$2
    shift 2
    echo "==> $current"
    if [[ $(type -t "$1") == function ]]; then
        "$@"
    else
        timeout --kill-after=10 "$limit" "$@" &
        running=$!
        wait "$running" || stop "$current, with $? (124: not done within $limit s)"
        running=
    fi
    local took=$((SECONDS - start))
    echo "    $took s"
    ((took <= limit)) || stop "$current took $took s, and may take $limit s"
    times+=("$(printf '%5d s of %4d s  %s' "$took" "$limit" "$current")")
}

# Installs the Debian packages of commands that are missing.
install_packages() {
    local packages=() run=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
    command -v curl >/dev/null || packages+=(curl)
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
    ((${#packages[@]})) || return 0

    local missing="these Debian packages, or what they stand for, are missing: ${packages[*]}"
    command -v apt-get >/dev/null || stop "$missing; and there is no apt-get to install them"
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || stop "$missing; installing them needs root"
        run=(sudo -n)
    fi
    run+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
    "${run[@]}" update || stop "$missing; apt-get update failed"
    "${run[@]}" install --no-install-recommends "${packages[@]}" ||
        stop "$missing; apt-get could not install them"
}

install_buf() {
    local folder=$tools/buf-$buf_version
    buf=$folder/node_modules/.bin/buf
    [[ $("$buf" --version 2>/dev/null) != "$buf_version" ]] || return 0
    rm -rf "$folder"
    npm install --prefix "$folder" --loglevel error --no-audit --no-fund --no-save \
        "@bufbuild/buf@$buf_version"
    [[ $("$buf" --version) == "$buf_version" ]]
}

install_javascript() {
    local packages=("standardwebhooks@$standardwebhooks_version" "eventsource@$eventsource_version")
    javascript=$tools/javascript
    # Written last: it says that the folder is complete.
    if cmp -s <(echo "${packages[*]}") "$javascript/packages"; then return 0; fi
    rm -rf "$javascript"
    npm install --prefix "$javascript" --loglevel error --no-audit --no-fund --no-save \
        "${packages[@]}"
    echo "${packages[*]}" >"$javascript/packages"
}

# Makes an environment of its own for the packages of a file, and looks whether a command
# runs in it.
install_python() {
    local folder=$tools/$1 packages=$2
    shift 2
    # The copy is made last: it says that the folder is complete.
    if cmp -s "$packages" "$folder/requirements.txt" && "$folder/bin/$1" "${@:2}" >/dev/null; then
        return 0
    fi
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$packages"
    cp "$packages" "$folder/requirements.txt"
}

install_python_packages() {
    python=$tools/python/bin/python
    install_python python "$requirements" python -c 'import grpc, schemathesis, standardwebhooks'
    install_python deployment "$deployment_requirements" hadolint --version
}

# The files that containers are built and run by, against what reads them.
check_deployment() {
    local bin=$tools/deployment/bin
    "$bin/hadolint" Dockerfile
    "$bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
    # The oldest version that has all of it.
    "$bin/kubernetes-validate" --kubernetes-version 1.30 --strict deploy/kubernetes.yaml
}

for tool in cargo rustfmt cargo-clippy git; do
    command -v "$tool" >/dev/null || stop "$tool is missing: install Rust with rustup, and git"
done
mkdir -p "$tools"
step 600 "system packages" install_packages
step 300 "buf $buf_version" install_buf
step 300 "JavaScript packages" install_javascript
step 300 "Python packages" install_python_packages

step 60 "formatting" cargo fmt --check
step 60 "contract: lint" "$buf" lint
step 60 "contract: formatting" "$buf" format -d --exit-code
step 60 "contract: compatibility" "$buf" breaking --against "$released"
step 60 "deployment files" check_deployment
# Benchmarks that a plain `cargo bench` leaves out are no part of all targets.
step 1800 "clippy" cargo clippy --all-targets --bench scale --bench soak "${features[@]}" -- -D warnings
step 1800 "documentation" env RUSTDOCFLAGS="-D warnings" \
    cargo doc --no-deps --document-private-items "${features[@]}"
# Makes the binary that the steps after it run, too.
step 1800 "building tests" cargo test --no-run "${features[@]}"
step 900 "tests" cargo test "${features[@]}"
step 1500 "tests on PostgreSQL" scripts/postgres.sh cargo test "${features[@]}" --test it
step 120 "demo" "$binary" demo --exit
step 300 "a client in Python" "$python" tests/python/round.py "$binary"
step 300 "answers as OpenAPI documents them" "$python" tests/python/openapi.py "$binary"
step 300 "signatures" "$python" tests/python/signatures.py "$binary" "$javascript"
step 300 "the live tail in curl and EventSource" "$python" tests/python/tail.py "$binary" "$javascript"
step 300 "buf curl as a client" tests/python/buf_curl.sh "$buf" "$binary"

printf '%s\n' "${times[@]}"
echo "all checks passed in $SECONDS s"
