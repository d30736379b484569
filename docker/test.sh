#!/usr/bin/env bash
# Tests the images: builds them, runs the integration tests inside, and puts production and staging into containers of
# their own, which are stopped, paused, disconnected and restarted.
#
#   docker/test.sh [PART …]     across (production and staging), compose (compose.yaml), walk (an administrator's first hour),
#                               package (Debian's), rpm (the RHEL family's), httpd (the official image's layout), suite (the
#                               integration tests); without any: all; here: whether there is a Docker, and runs containers
#   TESTS='session:: tls::' docker/test.sh suite     these integration tests alone
#   DEB=FILE docker/test.sh package                  this package, already made
#   KEEP_IMAGES=1 docker/test.sh across              with the images of the last time
set -euo pipefail
# shellcheck source=docker/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What the image of httpd's own layout runs: where files are found, and a little of all else.
HTTPD_TESTS="session:: loading:: configtest:: copying:: stopping:: tls:: balancer::"

images() {
    [ -z "${KEEP_IMAGES:-}" ] || return 0
    KEEP_IMAGES=1
    base debian:bookworm-slim rust:1-bookworm
    image mod_copy:build -f "$top/docker/Dockerfile" --target build
    image mod_copy:installed -f "$top/docker/Dockerfile" --target installed
    image mod_copy -f "$top/docker/Dockerfile"
    image mod_copy:tests -f "$top/docker/Dockerfile.tests"
}

# run_tests IMAGE [FILTER …]: the integration tests inside of an image. Their files are in a volume, as a site's: from
# overlayfs nothing can be read without waiting, so CopyCompare would not see them.
run_tests() {
    local image=$1 options=(--init --shm-size 1g --volume /tmp)
    shift
    # A container's loopback has ::1 only where that is asked for.
    [ ! -e /proc/sys/net/ipv6 ] || options+=(--sysctl net.ipv6.conf.all.disable_ipv6=0)
    docker run --rm --name "$run-suite" "${options[@]}" "$image" /programs/integration "$@" >"$logs/suite.log" 2>&1 || {
        grep -A 200 '^failures:' "$logs/suite.log" >&2 || tail -n 100 "$logs/suite.log" >&2
        fail "integration tests in $image"
    }
    grep '^test result:' "$logs/suite.log"
}

# This Docker runs a program of this machine's, on a network of its own.
here() {
    docker version --format 'Docker {{.Server.Version}}'
    # shellcheck disable=SC2046 # files
    tar -ch -C / $(for file in /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*'); do echo ".$file"; done) |
        docker import - "mod_copy:$run" >/dev/null
    docker network create "$run" >/dev/null
    docker run --rm --name "$run-here" --network "$run" "mod_copy:$run" /bin/sh -c 'echo "It runs containers"'
    docker network rm "$run" >/dev/null
    docker rmi "mod_copy:$run" >/dev/null
}

suite() {
    images
    say "the integration tests in the image"
    # shellcheck disable=SC2086 # a list
    run_tests mod_copy:tests ${TESTS:-}
}

httpd() {
    say "the layout of the official image"
    base rust:1-bookworm httpd:2.4
    image mod_copy:httpd-build -f "$top/docker/Dockerfile.httpd" --target build
    image mod_copy:httpd -f "$top/docker/Dockerfile.httpd"
    image mod_copy:httpd-tests -f "$top/docker/Dockerfile.tests" --build-arg BUILD=mod_copy:httpd-build \
        --build-arg IMAGE=mod_copy:httpd --build-arg MODULE=/usr/local/apache2/modules/mod_copy.so --build-arg PACKAGES=
    docker run --rm mod_copy:httpd httpd -M | grep -q 'copy_module (shared)' || fail "copy_module is not loaded"
    # shellcheck disable=SC2086 # a list
    run_tests mod_copy:httpd-tests ${TESTS:-$HTTPD_TESTS}
}

# What copy-status of production has for this key of its target.
count() {
    in_container production healthy '/copy-status?auto' | sed -n "s/^CopyTarget\[0\]$1: //p"
}

is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$run-$1")" = healthy ]; }
answers() { in_container client curl -fsS -o /dev/null "$1" 2>/dev/null; }
# Not `grep -q`, which would end before the logs do, and them with an error.
staging_has() { docker logs "$run-staging" 2>/dev/null | grep -F -- "$1" >"$logs/lines"; }
has_more() { [ "$(count "$1")" -gt "$2" ]; }
is_drained() { [ "$(count Queued)" = 0 ] && [ "$(count InFlight)" = 0 ]; }

# requests NUMBER: so many of production, eight at a time; each must be answered with 200.
requests() {
    local report
    report=$(in_container client ab -q -r -n "$1" -c 8 http://production/)
    if ! grep -q "^Complete requests: *$1$" <<<"$report" || ! grep -q '^Failed requests: *0$' <<<"$report" ||
        grep -q '^Non-2xx' <<<"$report"; then
        fail "production did not answer all requests:"$'\n'"$report"
    fi
    grep -E 'Requests per second|99%' <<<"$report"
}

# Until copies arrive again, which a breaker may put off.
copies_arrive() {
    local before
    before=$(count Delivered)
    more() {
        answers http://production/ && has_more Delivered "$before"
    }
    until_true more
}

# The promise: every copy has one outcome, and staging has what it should.
accounts_balance() {
    until_true is_drained
    local selected delivered failed dropped unanswered received
    selected=$(count Selected) delivered=$(count Delivered) unanswered=$(count Unanswered)
    failed=$(count Failed) dropped=$(count Dropped)
    [ "$selected" = $((delivered + failed + dropped)) ] ||
        fail "$selected selected, $delivered delivered, $failed failed, $dropped dropped: outcomes do not add up"
    # A line is written after its answer was sent.
    has_logged() {
        received=$(docker logs "$run-staging" 2>/dev/null | grep -c 'host=staging')
        [ "$received" -ge "$delivered" ]
    }
    until_true has_logged
    echo "selected $selected, delivered $delivered, sent without an answer $unanswered; staging has logged $received"
    [ "$received" -le $((delivered + unanswered)) ] || fail "staging has $received copies"
}

# What production's log must never have: panics of ours, children that crashed or had to be killed.
log_is_clean() {
    ! docker logs "$run-production" 2>&1 | grep -E 'CPY0091|AH0005[012]|AH0004[67]' || fail "see production's log"
}

has_ended() { [ "$(docker inspect -f '{{.State.Running}}' "$run-$1")" = false ]; }
ended_well() {
    local code
    code=$(docker inspect -f '{{.State.ExitCode}}' "$run-production")
    [ "$code" = 0 ] || fail "production ended with $code"
    log_is_clean
}

fill_queue() {
    local before
    before=$(count Dropped)
    docker pause "$run-staging" >/dev/null
    # For one that waits, twenty are on their way in each child.
    requests 3000
    has_more Dropped "$before" || fail "the queue was not full"
}

across() {
    images
    base prom/prometheus:v3.5.0
    docker network create "$run" >/dev/null
    create staging mod_copy
    put "$top/docker/staging.conf" staging /etc/apache2/sites-enabled/000-default.conf
    create production mod_copy
    put "$top/docker/production.conf" production /etc/apache2/sites-enabled/000-default.conf
    create prometheus prom/prometheus:v3.5.0
    put "$top/docker/prometheus.yml" prometheus /etc/prometheus/prometheus.yml
    create client mod_copy:tests -- sleep infinity
    start staging production prometheus client

    say "both are healthy, without a compiler, and their children are not root"
    until_true is_healthy production
    until_true is_healthy staging
    docker run --rm mod_copy sh -c '! command -v cc gcc make cargo' || fail "the image has a compiler"
    in_container production cat /proc/1/comm | grep -qx apache2 || fail "httpd is not the first process"
    local children
    children=$(in_container production cat /proc/1/task/1/children | sed 's|[0-9][0-9]*|/proc/&|g')
    # shellcheck disable=SC2086 # a list
    [ "$(in_container production stat -c %U $children | sort -u)" = www-data ] || fail "the children are not www-data's"

    say "copies arrive at staging, under its own name, with the client's address"
    in_container client curl -fsS -o /dev/null -d 'a=1' 'http://production/?first=1'
    until_true staging_has "POST /?first=1 HTTP/1.1 host=staging for=$(in_container client hostname -i)"
    staging_has 'length=3' || fail "the body did not arrive"
    requests 2000
    accounts_balance

    say "Prometheus reads the counters"
    scraped() {
        in_container client curl -fsS 'http://prometheus:9090/api/v1/query?query=mod_copy_delivered_total' |
            grep -q '"target":"staging"'
    }
    until_true scraped

    say "staging is paused: production answers all, and copies arrive again"
    fill_queue
    docker unpause "$run-staging" >/dev/null
    copies_arrive
    accounts_balance

    say "staging is cut off the network: production answers all, and copies arrive again"
    docker network disconnect "$run" "$run-staging"
    requests 2000
    docker network connect --alias staging "$run" "$run-staging"
    copies_arrive
    accounts_balance

    say "staging is restarted under load"
    in_container client ab -q -r -t 6 -n 1000000 -c 2 http://production/ >"$logs/ab" &
    load=$!
    docker restart -t 5 "$run-staging" >/dev/null
    wait "$load"
    grep -q '^Failed requests: *0$' "$logs/ab" || fail "production did not answer all:"$'\n'"$(cat "$logs/ab")"
    copies_arrive
    accounts_balance

    say "docker stop (SIGWINCH) with a full queue: a download under way is finished, the container ends in time"
    in_container production dd if=/dev/zero of=/var/www/html/large bs=1M count=40 status=none
    fill_queue
    in_container client curl -fsS --limit-rate 10M -o /tmp/large http://production/large &
    download=$!
    until_true in_container client test -s /tmp/large
    begun=$SECONDS
    docker stop -t "$PATIENCE" "$run-production" >/dev/null
    echo "ended after $((SECONDS - begun)) s"
    wait "$download" || fail "the download was cut off"
    [ "$(in_container client stat -c %s /tmp/large)" = $((40 << 20)) ] || fail "the download is not whole"
    ended_well
    docker unpause "$run-staging" >/dev/null

    say "it is started again, and SIGTERM with a full queue ends it, without a child that must be killed"
    start production
    until_true answers http://production/
    copies_arrive
    fill_queue
    begun=$SECONDS
    docker kill -s TERM "$run-production" >/dev/null
    until_true has_ended production
    echo "ended after $((SECONDS - begun)) s"
    ended_well
    docker unpause "$run-staging" >/dev/null

    say "docker restart"
    start production
    until_true answers http://production/
    docker restart "$run-production" >/dev/null
    until_true answers http://production/
    copies_arrive
    log_is_clean
    docker rm -f "$run-staging" "$run-production" "$run-prometheus" "$run-client" >/dev/null
    docker network rm "$run" >/dev/null
}

# In Debian without anything: installed, switched on, upgraded, rotated, removed, purged.
package() {
    if [ -z "${DEB:-}" ]; then
        images
        say "Debian's package is made"
        docker run --name "$run-deb" -e PACKAGE_TARGET_DIR=/src/target mod_copy:build make deb >"$logs/deb.log" 2>&1 || {
            tail -n 50 "$logs/deb.log" >&2
            fail "make deb"
        }
        docker cp "$run-deb:/src/target/packages" "$logs/packages" >/dev/null
        docker rm "$run-deb" >/dev/null
        DEB=$(ls "$logs"/packages/*.deb)
    fi
    base debian:bookworm-slim
    docker network create "$run" >/dev/null
    create debian debian:bookworm-slim --init -- sleep infinity
    start debian
    put "$DEB" debian /tmp/first.deb
    there() { in_container debian bash -c "$*" >"$logs/step.log" 2>&1 || { cat "$logs/step.log" >&2; fail "$*"; }; }

    say "installed, it is switched on, and does nothing"
    there "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends apache2 logrotate procps /tmp/first.deb"
    there "apache2ctl -M | grep 'copy_module (shared)'"
    there "apachectl configtest && apachectl start"

    say "upgraded, it keeps what the administrator wrote"
    there "echo '# mine' >>/etc/apache2/mods-available/copy.conf"
    there "dpkg-deb -R /tmp/first.deb /tmp/next && sed -i 's/^Version: .*/&.1/' /tmp/next/DEBIAN/control && dpkg-deb -b /tmp/next /tmp/next.deb"
    there "DEBIAN_FRONTEND=noninteractive apt-get install -y /tmp/next.deb && dpkg -s libapache2-mod-copy | grep '^Version:.*\\.1$'"
    there "apache2ctl -M | grep 'copy_module (shared)' && grep '# mine' /etc/apache2/mods-available/copy.conf"

    say "the mirror log is rotated, for httpd's group to read"
    there "echo line >/var/log/apache2/mirror_log && logrotate -f /etc/logrotate.d/libapache2-mod-copy"
    there "stat -c '%a %U %G' /var/log/apache2/mirror_log | grep '640 root www-data' && test -s /var/log/apache2/mirror_log.1"

    say "removed, it is switched off; purged, nothing of it is left"
    there "DEBIAN_FRONTEND=noninteractive apt-get remove -y libapache2-mod-copy"
    there "! apache2ctl -M | grep copy_module && apachectl configtest"
    there "DEBIAN_FRONTEND=noninteractive apt-get install -y /tmp/first.deb && apache2ctl -M | grep copy_module"
    there "DEBIAN_FRONTEND=noninteractive apt-get purge -y libapache2-mod-copy"
    there "! find /etc /usr /var/lib/apache2 -name '*mod_copy*' -o -name 'copy.load' -o -name 'copy.conf' -o -name 'libapache2-mod-copy' | grep ."
    docker rm -f "$run-debian" >/dev/null
    docker network rm "$run" >/dev/null
}

# The RHEL family's package, made here to see what it has in it: the switch on, the module, what it asks for.
rpm() {
    images
    say "the RHEL family's package is made"
    docker run --name "$run-rpm" -e PACKAGE_TARGET_DIR=/src/target mod_copy:build bash -c '
        make rpm && file=$(echo target/packages/mod_copy-*.rpm) && rpm -qlp "$file" >target/packages/files &&
            rpm -qRp "$file" >target/packages/needs && rpm2archive "$file" && tar -xzf "$file.tgz" -C target' >"$logs/rpm.log" 2>&1 || {
        tail -n 50 "$logs/rpm.log" >&2
        fail "make rpm"
    }
    docker cp "$run-rpm:/src/target/packages" "$logs/rpm" >/dev/null
    docker cp "$run-rpm:/src/target/etc/httpd/conf.modules.d/10-copy.conf" "$logs/10-copy.conf" >/dev/null
    docker rm "$run-rpm" >/dev/null
    local file
    for file in /etc/httpd/conf.modules.d/10-copy.conf /usr/lib64/httpd/modules/mod_copy.so '/usr/share/man/man8/mod_copy.8.*' \
        '/usr/share/doc/mod_copy[^/]*/README.md' '/usr/share/doc/mod_copy[^/]*/examples/basic.conf'; do
        grep -qx "$file" "$logs/rpm/files" || fail "no $file among:"$'\n'"$(cat "$logs/rpm/files")"
    done
    grep -qx 'httpd-mmn = 20120211x8664' "$logs/rpm/needs" || fail "it does not ask for httpd:"$'\n'"$(cat "$logs/rpm/needs")"
    grep -qx 'LoadModule copy_module /usr/lib64/httpd/modules/mod_copy.so' "$logs/10-copy.conf" ||
        fail "10-copy.conf:"$'\n'"$(cat "$logs/10-copy.conf")"
}

# compose.yaml as it is, but that this machine chooses the ports.
compose() {
    local command=()
    if docker compose version >/dev/null 2>&1; then
        command=(docker compose)
    elif command -v docker-compose >/dev/null; then
        command=(docker-compose)
    else
        fail "there is neither docker compose nor docker-compose (Debian: docker-compose)"
    fi
    images
    base prom/prometheus:v3.5.0
    say "compose.yaml: clients are served, their requests are copied, and Prometheus has the counters"
    command+=(-p "$run" -f "$top/docker/compose.yaml")
    export PRODUCTION_PORT=0 PROMETHEUS_PORT=0
    composed=("${command[@]}" down -v -t 5)
    "${command[@]}" up -d >"$logs/compose.log" 2>&1 || {
        cat "$logs/compose.log" >&2
        fail "${command[*]} up"
    }
    local prometheus
    prometheus=$("${command[@]}" port prometheus 9090)
    scraped() {
        curl -fsS --noproxy '*' "http://$prometheus/api/v1/query?query=mod_copy_delivered_total%20%3E%20100" |
            grep -q '"target":"staging"'
    }
    until_true scraped
    "${composed[@]}" >"$logs/compose.log" 2>&1
    composed=()
}

walk() {
    images
    "$top/docker/walk.sh"
}

find_docker
[ $# -gt 0 ] || set -- across compose walk package rpm httpd suite
for part; do
    begun_part=$SECONDS
    "$part"
    say "$part: passed after $((SECONDS - begun_part)) s"
done
