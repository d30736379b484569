#!/bin/sh
# CGI: records the request in records/ID beside this file, and answers who served it.
set -eu

here=${SCRIPT_FILENAME%/*}
role=${here##*/}
id=$(printf %s "${HTTP_X_DEMO_ID:-}" | tr -cd 'A-Za-z0-9')
record=$here/records/${id:-other-$$}
# A second request with that ID is a record of its own.
[ ! -e "$record" ] || record=$record-again-$$

partial=$here/partial/$$
mkdir "$partial"
printf %s "$REQUEST_METHOD" >"$partial/method"
printf %s "$REQUEST_URI" >"$partial/target"
env | sed -n 's/^HTTP_\([A-Z0-9_]*=\)/\1/p; s/^\(CONTENT_[A-Z]*=.\)/\1/p' | sort >"$partial/fields"
# To its end: a chunked request has no CONTENT_LENGTH.
cat >"$partial/body"
bytes=$(wc -c <"$partial/body")
sum=$(sha256sum <"$partial/body" | cut -c 1-64)
mv "$partial" "$record"

printf 'Content-Type: application/json\r\nX-Served-By: %s\r\n\r\n' "$role"
printf '{"served_by":"%s","method":"%s","bytes":%s,"sha256":"%s"}\n' \
    "$role" "$REQUEST_METHOD" "$bytes" "$sum"
