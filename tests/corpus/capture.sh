#!/usr/bin/env bash
# Records requests of real clients as they come over the wire, one file each: tests/corpus/CLIENT-WHAT.http.
#
# Needs python3; runs whichever of these clients are installed: curl, wget, Python (urllib, and from PyPI requests,
# httpx, aiohttp), node, go, java, chromium. PYTHON names a Python with the PyPI ones. A file is rewritten only when its
# client is there. Not run by the tests: they replay the files (tests/corpus.rs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
clients=$PWD/capture
python=${PYTHON:-python3}
scratch=$(mktemp -d)

python3 capture/recorder.py "$PWD" "$scratch/port" &
recorder=$!
trap 'kill "$recorder"; rm -rf "$scratch"' EXIT
until [ -s "$scratch/port" ]; do kill -0 "$recorder"; done
base=http://127.0.0.1:$(cat "$scratch/port")

run() { # run PROGRAM COMMAND…: runs it, if there is such a program
    if command -v "$1" >/dev/null; then
        (cd "$scratch" && timeout 60 "${@:2}" >/dev/null) || echo "capture: failed: ${*:2}" >&2
    else
        echo "capture: no $1: its files stay as they are" >&2
    fi
}

printf 'a,b\n1,2\n' >"$scratch/table.csv"
head -c 3000 /dev/zero | tr '\0' '\377' >"$scratch/photo.jpg"

run curl curl -s "$base/curl/get?a=1&b=%20"
run curl curl -s --head "$base/curl/head"
run curl curl -s --data 'name=J%C3%BCrgen&note=a+b' "$base/curl/form"
run curl curl -s --json '{"a":[1,2,{"b":null}]}' "$base/curl/json"
run curl curl -s --form 'title=x' --form file=@photo.jpg --form 'table=@table.csv;type=text/csv' "$base/curl/multipart"
run curl sh -c "curl -s --upload-file - '$base/curl/chunked' < table.csv"
run curl curl -s --upload-file table.csv "$base/curl/put"
run curl curl -s --header 'Expect: 100-continue' --data-binary @photo.jpg "$base/curl/expect"
run curl curl -s --request DELETE --user name:secret "$base/curl/delete"
run curl curl -s --compressed --cookie 'a=1; b="2"' --referer "$base/from" --range 0-99 "$base/curl/everything"
run curl curl -s --http1.0 "$base/curl/http10"
run curl curl -s --http2 "$base/curl/upgrade"
run curl curl -s --path-as-is "$base/curl/unresolved/../path//as%2Fis"
run curl curl -s --request OPTIONS --header 'Origin: http://www.example.com' --header 'Access-Control-Request-Method: PUT' "$base/curl/preflight"
run wget wget -q -O /dev/null "$base/wget/get"
run wget wget -q -O /dev/null --post-data 'a=1&b=2' "$base/wget/form"
run wget wget -q --spider "$base/wget/head"
run wget wget -q -O /dev/null --method PUT --body-file table.csv --header 'If-Match: "x"' "$base/wget/put"
run "$python" "$python" "$clients/client.py" "$base"
run node node "$clients/client.mjs" "$base"
run go env GOCACHE="$scratch/go" GO111MODULE=off go run "$clients/client.go" "$base"
run java java "$clients/Client.java" "$base"
# It does not end by itself: what counts is what it has sent within 20 s.
run chromium timeout 20 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$scratch/profile" \
    --virtual-time-budget=10000 --dump-dom "$base/chromium/page"
