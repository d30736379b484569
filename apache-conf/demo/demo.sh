#!/usr/bin/env bash
# Starts production, its origin and staging on loopback, sends requests to production, and shows the
# copies that reach staging. With ONCE=1 it ends then, with 1 if a copy is missing or differs.
# Some functions are called through await and trap alone.
# shellcheck disable=SC2317
set -euo pipefail

say() { printf 'demo: %s\n' "$*"; }
fail() {
    say "$@" >&2
    exit 1
}

demo=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
module=${MOD_COPY_SO:-$demo/../../target/release/libmod_copy.so}
[ -r "$module" ] || fail "no module at $module: run \`make build\`"
MOD_COPY_SO=$(cd "$(dirname "$module")" && pwd)/${module##*/}
apxs=$(command -v "${APXS:-apxs}" || command -v "${APXS:-apxs2}") || fail "no ${APXS:-apxs}: run \`make deps\`"
httpd=$("$apxs" -q SBINDIR)/$("$apxs" -q PROGNAME)
[ -x "$httpd" ] || fail "no httpd at $httpd: run \`make deps\`"
DEMO_MODULES=$("$apxs" -q LIBEXECDIR)
export MOD_COPY_SO DEMO_MODULES

tmp=$(mktemp -d "${TMPDIR:-/tmp}/mod_copy-demo.XXXXXX")
pids=()

await() { # await SECONDS COMMAND…: tries it until it succeeds, for at most that long
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

ended() { ! kill -0 "$1" 2>/dev/null; }

stop() { # stop PID: ends one httpd and its children
    kill -TERM "$1" 2>/dev/null || true
    await 10 ended "$1" || kill -KILL -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

cleanup() {
    local i
    # Production first: it still sends the copies it has.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        stop "${pids[i]}"
    done
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

httpd_options=()
chmod 0755 "$tmp"
if [ "$(id -u)" = 0 ]; then
    for DEMO_USER in www-data apache nobody; do
        if id "$DEMO_USER" >/dev/null 2>&1; then break; fi
    done
    DEMO_GROUP=$(id -gn "$DEMO_USER")
    export DEMO_USER DEMO_GROUP
    httpd_options=(-D AS_ROOT)
fi

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

is_up() { ended "$1" || { [ -s "$2/httpd.pid" ] && listens "$3"; }; }

start() { # start NAME CONFIGURATION: starts an httpd; leaves its port in $port
    local root=$tmp/$1 configuration=$demo/$2 attempt
    mkdir -p "$root/records" "$root/partial"
    cp "$demo/record.sh" "$root/record.sh"
    chmod 0755 "$root" "$root/record.sh"
    [ ${#httpd_options[@]} = 0 ] || chown "$DEMO_USER" "$root/records" "$root/partial"
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        if listens "$port"; then continue; fi
        # A process group of its own: httpd ends its whole group when it is told to end.
        set -m
        DEMO_ROOT=$root DEMO_PORT=$port "$httpd" -D FOREGROUND "${httpd_options[@]}" \
            -d "$root" -f "$configuration" >"$root/startup.log" 2>&1 </dev/null &
        set +m
        pids+=($!)
        if await 20 is_up $! "$root" "$port" && ! ended $!; then return; fi
        # Somebody else may have taken the port meanwhile.
        if ended $! && ((attempt < 5)) && grep -q AH00072 "$root/startup.log"; then continue; fi
        cat "$root/startup.log" >&2
        [ ! -e "$root/error.log" ] || tail -n 20 "$root/error.log" >&2
        fail "the httpd of $1 did not start; its own words are above"
    done
    fail "found no free port for $1"
}

start origin backend.conf
export DEMO_ORIGIN_PORT=$port
start staging backend.conf
export DEMO_STAGING_PORT=$port
start production production.conf
production=http://127.0.0.1:$port
say "production $production is in front of origin port $DEMO_ORIGIN_PORT and copies to staging port $DEMO_STAGING_PORT"

mkdir "$tmp/answers"
: >"$tmp/nothing"
printf '{"item":"lamp","quantity":2,"note":"für Zoë"}' >"$tmp/order.json"
head -c 300000 /dev/urandom >"$tmp/report.bin"

request() { curl -q --silent --show-error --globoff --noproxy '*' --max-time 20 "$@"; }

methods=()
targets=()
bodies=()
send() { # send METHOD TARGET BODY-FILE [CURL-OPTION…]: sends one request and keeps what production answers
    local id=${#methods[@]} as=(--request "$1")
    [ "$1" != HEAD ] || as=(--head)
    methods+=("$1")
    targets+=("$2")
    bodies+=("$3")
    request "${as[@]}" --header "X-Demo-Id: $id" "${@:4}" --dump-header "$tmp/answers/$id.head" \
        --output "$tmp/answers/$id.body" "$production$2" || true
}

send GET '/catalog?q=desk%20lamp&page=2' "$tmp/nothing"
send POST /orders "$tmp/order.json" --header 'Content-Type: application/json' --data-binary "@$tmp/order.json"
send PUT /files/report.bin "$tmp/report.bin" --header 'Transfer-Encoding: chunked' --upload-file "$tmp/report.bin"
send HEAD /catalog "$tmp/nothing"
send DELETE '/orders/17?reason=demo' "$tmp/nothing"
sent=${#methods[@]}

content() { # content FILE: its size and the start of its checksum
    local bytes sum
    bytes=$(wc -c <"$1")
    sum=$(sha256sum <"$1")
    if ((bytes == 0)); then printf 'no body'; else printf '%d B %.8s' "$bytes" "$sum"; fi
}

answered() { # answered ID: what production answered
    local status served_by
    status=$(sed -n "s/^HTTP[^ ]* \([0-9]*\).*/\1/p" "$tmp/answers/$1.head" 2>/dev/null | tail -n 1) || true
    served_by=$(tr -d '\r' 2>/dev/null <"$tmp/answers/$1.head" | sed -n 's/^X-Served-By: //p') || true
    printf '%s from %s' "${status:-no answer}" "${served_by:-nobody}"
}

received() { # received ID: what staging received
    local record=$tmp/staging/records/$1
    [ -d "$record" ] || { printf 'nothing' && return; }
    printf '%s %s, %s' "$(<"$record/method")" "$(<"$record/target")" "$(content "$record/body")"
}

arrived() {
    local id
    for ((id = 0; id < sent; id++)); do
        [ -d "$tmp/staging/records/$id" ] || return
    done
}

# What is missing after this long is shown as missing.
await 15 arrived || true

failures=0
row='%-48s  %-18s  %-48s  %s\n'
echo
# shellcheck disable=SC2059 # the format is the row above
printf "$row" 'sent to production' 'production' 'received by staging' 'copy'
for ((id = 0; id < sent; id++)); do
    expected="${methods[id]} ${targets[id]}, $(content "${bodies[id]}")"
    verdict=equal
    if [ ! -d "$tmp/staging/records/$id" ]; then
        verdict=MISSING
    elif [ "$(received "$id")" != "$expected" ] || ! cmp -s "${bodies[id]}" "$tmp/staging/records/$id/body"; then
        verdict=DIFFERS
    elif [ "$(answered "$id")" != '200 from origin' ]; then
        verdict='equal, but production failed'
    fi
    [ "$verdict" = equal ] || failures=$((failures + 1))
    # shellcheck disable=SC2059
    printf "$row" "$expected" "$(answered "$id")" "$(received "$id")" "$verdict"
done

printf '\nProduction answered the POST:\n'
sed 's/^/  /' "$tmp/answers/1.body" 2>/dev/null || true
if [ -d "$tmp/staging/records/1" ]; then
    printf 'Fields that staging received with it (as CGI spells them):\n'
    sed 's/^/  /' "$tmp/staging/records/1/fields"
fi

settled() { # all copies have their outcome in the counters, which follow the arrival closely
    request --fail --output "$tmp/status" "$production/copy-status?auto" 2>/dev/null &&
        [ "$(sed -n 's/^CopyTarget\[0\]Delivered: //p' "$tmp/status")" = "$sent" ]
}

printf '\nThe counters (%s/copy-status?auto), without those that are 0:\n' "$production"
await 5 settled || true
if [ -s "$tmp/status" ]; then
    sed -n "/: 0$/!s/^/  /p" "$tmp/status"
else
    say "copy-status did not answer" >&2
    failures=$((failures + 1))
fi

records=("$tmp"/staging/records/*)
if ((${#records[@]} > sent)); then
    say "staging received ${#records[@]} requests for $sent: a copy came twice" >&2
    failures=$((failures + 1))
fi
if ((failures > 0)); then
    tail -n 20 "$tmp/production/error.log" >&2
    [ "${ONCE:-}" != 1 ] || fail "$failures checks failed; production's error log is above"
fi
[ "${ONCE:-}" != 1 ] || { printf '\n' && say "every copy arrived, and is equal" && exit 0; }

cat <<END

Production   $production/
Counters     $production/copy-status
Error log    $tmp/production/error.log
Received by staging, one directory a request:
             $tmp/staging/records
Try it:      curl -d hello $production/anything
Ctrl-C stops all three servers and removes the directory.
END
trap 'exit 0' INT
wait -n "${pids[@]}" || true
fail "one of the servers ended by itself"
