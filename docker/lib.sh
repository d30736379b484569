# shellcheck shell=bash
# What docker/test.sh and docker/walk.sh share: a Docker to speak with, the images, a network with production,
# staging and a client on it, and waiting for what is to come. Sourced, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Containers, network and volumes of this run, and of no other.
run=mod_copy-$$
# Seconds that anything may take before it is a failure: for a machine that has much else to do.
PATIENCE=180

say() { printf '== %s\n' "$*"; }

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# until_true COMMAND…: waits until it succeeds.
until_true() {
    local end=$((SECONDS + PATIENCE))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not within $PATIENCE s: $*"
        sleep 0.2
    done
}

# A Docker: the one that answers, else one of our own, below target/, that ends with us.
find_docker() {
    command -v docker >/dev/null || fail "docker is missing"
    docker version >/dev/null 2>&1 && return
    [ -z "${DOCKER_HOST:-}" ] || fail "no Docker answers at DOCKER_HOST=$DOCKER_HOST"
    command -v dockerd >/dev/null || fail "no Docker answers, and dockerd is missing: install it (Debian: docker.io)"
    [ "$(id -u)" = 0 ] || fail "no Docker answers, and only root can start one: start it (systemctl start docker)"
    local home=${DOCKER_DATA:-$top/target/docker}
    mkdir -p "$home"
    # A socket's path must be short.
    export DOCKER_HOST="unix:///run/$run.sock"
    dockerd --data-root "$home/data" --exec-root "/run/$run" -p "/run/$run.pid" -H "$DOCKER_HOST" \
        >"$home/dockerd.log" 2>&1 &
    own_dockerd=$!
    local end=$((SECONDS + PATIENCE))
    until docker version >/dev/null 2>&1; do
        if ! kill -0 "$own_dockerd" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
            tail -n 20 "$home/dockerd.log" >&2
            fail "no Docker answers, and one cannot be started here: the last lines of its log are above"
        fi
        sleep 0.2
    done
}

# base IMAGE…: has the images that ours begin with: pulled, or, where that cannot be, made here.
base() {
    local image
    for image; do
        docker image inspect "$image" >/dev/null 2>&1 && continue
        if [ -z "${AIR_GAPPED:-}" ]; then
            say "pulling $image"
            timeout 300 docker pull -q "$image" && continue
            echo "$image cannot be pulled: making a stand-in" >&2
        fi
        "$top/docker/air-gapped.sh" "$image" >"$logs/air-gapped.log" 2>&1 || {
            tail -n 30 "$logs/air-gapped.log" >&2
            fail "no stand-in for $image could be made"
        }
    done
}

# image TAG ARGUMENT…: builds an image of ours.
image() {
    local tag=$1 log
    shift
    log=$logs/build-${tag//[:\/]/-}.log
    say "building $tag"
    docker build -t "$tag" "$@" "$top" >"$log" 2>&1 || {
        tail -n 50 "$log" >&2
        fail "$tag could not be built"
    }
}

# create NAME IMAGE [OPTION…] [-- COMMAND…]: a container on the run's network, under its name there, not started.
create() {
    local name=$1 image=$2 options=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    docker create --name "$run-$name" --hostname "$name" --network "$run" --network-alias "$name" \
        "${options[@]}" "$image" "$@" >/dev/null
}

# A file of ours for a container: copied, not mounted, as Docker may be on another machine.
put() { # put FILE NAME PATH
    docker cp "$1" "$run-$2:$3" >/dev/null
}

start() { # start NAME…
    docker start "${@/#/$run-}" >/dev/null
}

# in_container NAME COMMAND…
in_container() {
    local name=$1
    shift
    docker exec "$run-$name" "$@"
}

clean_up() {
    local status=$?
    if [ "$status" != 0 ]; then
        for container in $(docker ps -aq --filter "name=^$run-" 2>/dev/null); do
            docker inspect -f '--- {{.Name}} ({{.State.Status}}, {{.State.ExitCode}})' "$container" >&2
            docker logs --tail 40 "$container" >&2 || true
        done
    fi
    [ ${#composed[@]} = 0 ] || "${composed[@]}" >/dev/null 2>&1 || true
    docker ps -aq --filter "name=^$run-" 2>/dev/null | xargs -r docker rm -f >/dev/null || true
    docker network rm "$run" >/dev/null 2>&1 || true
    docker rmi "mod_copy:$run" >/dev/null 2>&1 || true
    if [ -n "${own_dockerd:-}" ]; then
        kill "$own_dockerd" 2>/dev/null || true
        wait "$own_dockerd" 2>/dev/null || true
        rm -rf --one-file-system "/run/$run" 2>/dev/null || true
    fi
    rm -rf "$logs"
    exit "$status"
}

own_dockerd=
# What takes away the containers of compose.yaml.
composed=()
logs=$(mktemp -d)
trap clean_up EXIT
