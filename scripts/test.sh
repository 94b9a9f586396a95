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
requirements=tests/python/requirements.txt

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

# Runs one step: a name, then the command.
step() {
    current=$1
    shift
    echo "==> $current"
    local start=$SECONDS
    "$@"
    echo "    $((SECONDS - start)) s"
}

# Installs the Debian packages of commands that are missing.
install_packages() {
    local packages=() run=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v npm >/dev/null || packages+=(npm)
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
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

install_python() {
    local folder=$tools/python
    python=$folder/bin/python
    # The copy is made last: it says that the folder is complete.
    if cmp -s "$requirements" "$folder/requirements.txt" && "$python" -c 'import grpc'; then
        return 0
    fi
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$folder/requirements.txt"
}

for tool in cargo rustfmt cargo-clippy git; do
    command -v "$tool" >/dev/null || stop "$tool is missing: install Rust with rustup, and git"
done
mkdir -p "$tools"
step "system packages" install_packages
step "buf $buf_version" install_buf
step "Python packages" install_python

step "formatting" cargo fmt --check
step "contract: lint" "$buf" lint
step "contract: formatting" "$buf" format -d --exit-code
step "contract: compatibility" "$buf" breaking --against "$released"
step "clippy" cargo clippy --all-targets "${features[@]}" -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" \
    cargo doc --no-deps --document-private-items "${features[@]}"
# Makes the binary that the steps after it run, too.
step "tests" cargo test "${features[@]}"
step "demo" timeout 120 "$binary" demo --exit
step "a client in Python" timeout 300 "$python" tests/python/round.py "$binary"
step "buf curl as a client" timeout 300 tests/python/buf_curl.sh "$buf" "$binary"

echo "all checks passed"
