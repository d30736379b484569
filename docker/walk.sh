#!/usr/bin/env bash
# An administrator's first hour with mod_copy, step by step, in a container that has httpd and the module, switched off:
# what they type is typed here, and each step has to do what they expect of it. Run by docker/test.sh, which builds the images.
set -euo pipefail
# shellcheck source=docker/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SITE=/etc/apache2/sites-available/000-default.conf

# type COMMAND: what the administrator types at production's shell.
type() {
    printf '   # %s\n' "$*"
    in_container production bash -c "$*"
}

# says TEXT COMMAND: its output has this in it.
says() {
    local said
    printf '   # %s\n' "$2"
    said=$(in_container production bash -c "$2" 2>&1) || true
    grep -qF -- "$1" <<<"$said" || fail "expected \`$1\` of \`$2\`, got:"$'\n'"$said"
}

# site LINES: the default site's virtual host, with these lines at its end.
site() {
    printf '   + %s\n' "${1//$'\n'/$'\n'   + }"
    printf '%s\n' "${default_site/<\/VirtualHost>/$1$'\n'</VirtualHost>}" | docker exec -i "$run-production" tee "$SITE" >/dev/null
}

get() { in_container client curl -fsSk -o /dev/null "$@"; }
staging_has() { docker logs "$run-staging" 2>/dev/null | grep -F -- "$1" >"$logs/line"; }
arrives() { # arrives MARK URL [curl's options]: the request's copy does, once no child of the former configuration answers
    sent_and_there() {
        get "${@:2}" && staging_has "$1"
    }
    until_true sent_and_there "$@"
}
# count KEY: what copy-status has for it, of the target of that name.
count() {
    in_container client curl -fsS 'http://production/copy-status?auto' | awk -v key="$1" -v name="http://staging.internal.net/" '
        /Name: / { of = index($0, "Name: " name) && length($0) == index($0, "Name: ") + 5 + length(name) }
        of && $1 ~ "]" key ":$" { print $2 }'
}
has() { [ "$(count "$1")" -ge "$2" ]; }
serves() { get http://production/ 2>/dev/null; }

# load SECONDS: requests, two at a time; leaves what became of them in $logs/load.
load() { in_container client ab -q -r -t "$1" -n 1000000 -c 2 http://production/ >"$logs/load"; }

prepare() {
    docker network create "$run" >/dev/null
    create staging mod_copy --network-alias staging.internal.net
    put "$top/docker/staging.conf" staging /etc/apache2/sites-enabled/000-default.conf
    create production mod_copy:installed --init -- sleep infinity
    create client mod_copy:tests -- sleep infinity
    start staging production client
    default_site=$(in_container production cat "$SITE")
    client=$(in_container client hostname -i)
    # So that this test can look, from its own container.
    docker exec -i "$run-production" tee /etc/apache2/conf-enabled/copy-status.conf >/dev/null <<CONF
<Location "/copy-status">
    SetHandler copy-status
    Require ip $client
</Location>
CONF
    in_container client openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=production \
        -keyout /tmp/key.pem -out /tmp/cert.pem 2>/dev/null
    local file
    for file in key.pem cert.pem; do
        docker cp "$run-client:/tmp/$file" "$logs/$file" >/dev/null
    done
    put "$logs/cert.pem" production /etc/ssl/certs/ssl-cert-snakeoil.pem
    put "$logs/key.pem" production /etc/ssl/private/ssl-cert-snakeoil.key
}

switch_on() {
    say "the modules are switched on"
    says "Enabling module proxy_http" "a2enmod proxy proxy_http"
    says "Enabling module copy" "a2enmod copy"

    say "one line in 000-default.conf mirrors"
    site 'CopyTarget "http://staging.internal.net/api/v1"'
    says "Syntax OK" "apachectl configtest"
    type "apachectl start"
    until_true serves
    says "copy_module (shared)" "apache2ctl -M | grep copy"
    arrives "GET /api/v1/?walk=target HTTP/1.1 host=staging.internal.net for=$client" 'http://production/?walk=target'

    say "or a MirrorRequest line"
    site 'MirrorRequest "http://staging.internal.net/api/v1"'
    says "Syntax OK" "apachectl configtest"
    type "apachectl graceful"
    arrives "GET /api/v1/?walk=request HTTP/1.1 host=staging.internal.net for=$client" 'http://production/?walk=request'
    arrives "POST /api/v1/?walk=post HTTP/1.1" 'http://production/?walk=post' -d 'user=7'
    grep -q 'length=6' "$logs/line" || fail "the body did not arrive"

    say "a wrong line is named"
    site 'CopyTarget "ftp://staging.internal.net/"'
    says "/etc/apache2/sites-enabled/000-default.conf" "apachectl configtest"
    says "CopyTarget" "apachectl configtest"
}

limits() {
    say "ProxyTimeout 5 and ProxyReceiveBufferSize 4096 govern copies, min=5 max=20 their connections"
    site 'CopyTarget "http://staging.internal.net/" min=5 max=20'
    type "printf 'ProxyTimeout 5\nProxyReceiveBufferSize 4096\n' >> /etc/apache2/apache2.conf"
    says "Syntax OK" "apachectl configtest"
    type "apachectl restart"
    until_true serves
    arrives "GET /?walk=limits" 'http://production/?walk=limits'
    docker pause "$run-staging" >/dev/null
    local failed begun
    failed=$(count FailedTimeout)
    begun=$SECONDS
    get --max-time 4 'http://production/?walk=slow' || fail "production waited for its copy"
    until_true has FailedTimeout $((failed + 1))
    [ $((SECONDS - begun)) -ge 4 ] || fail "the copy was given up after $((SECONDS - begun)) s"
    says "CPY0103" "cat /var/log/apache2/error.log"
    docker unpause "$run-staging" >/dev/null
}

mirror_log() {
    say "the mirror log: failures, and no contents, for root to write and httpd's group to read"
    site 'CopyTarget "http://staging.internal.net/" retry=1
CopyLog "/var/log/apache2/mirror_log"'
    says "Syntax OK" "apachectl configtest"
    type "apachectl graceful"
    logged() { in_container production cat /var/log/apache2/mirror_log | grep -F -- "$1" | grep -qF -- "$2"; }
    sent() {
        get -d 'password=s3cret' 'http://production/?walk=log' && logged walk=log delivered
    }
    until_true sent
    says "640 root www-data" "stat -c '%a %U %G' /var/log/apache2/mirror_log"
    docker stop -t 5 "$run-staging" >/dev/null
    lost() {
        get 'http://production/?walk=failure' && logged walk=failure failed
    }
    until_true lost
    ! in_container production grep -F s3cret /var/log/apache2/mirror_log || fail "a content is in the mirror log"
    start staging
}

restarts() {
    say "restarts under load"
    load 8 &
    local load=$!
    type "apachectl graceful"
    until_true has Delivered 1
    type "apachectl graceful"
    wait "$load"
    grep -q '^Failed requests: *0$' "$logs/load" || fail "graceful restarts lost clients:"$'\n'"$(cat "$logs/load")"
    load 6 &
    load=$!
    # This one ends connections, and the few requests on them, with any module; who comes next is served.
    type "apachectl restart"
    until_true serves
    wait "$load"
    arrives "GET /?walk=restarted" 'http://production/?walk=restarted'
}

tls() {
    say "HTTPS at production, plain HTTP at staging"
    type "a2enmod -q ssl && a2ensite -q default-ssl"
    in_container production sed -i 's|^\(.*\)</VirtualHost>|\1CopyTarget "http://staging.internal.net/secure" name=secure\n&|' \
        /etc/apache2/sites-available/default-ssl.conf
    says "Syntax OK" "apachectl configtest"
    type "apachectl restart"
    until_true serves
    arrives "GET /secure/?walk=tls HTTP/1.1 host=staging.internal.net for=$client" 'https://production/?walk=tls'
}

staging_off_and_on() {
    say "staging is switched off: production goes on; switched on, it gets copies again"
    docker stop -t 5 "$run-staging" >/dev/null
    load 3
    grep -q '^Failed requests: *0$' "$logs/load" || fail "production did not go on:"$'\n'"$(cat "$logs/load")"
    start staging
    again() {
        get 'http://production/?walk=again' && staging_has "GET /?walk=again"
    }
    until_true again
}

cookie() {
    say "RequestHeader unset Cookie in the block strips it from the copy alone"
    type "a2enmod -q headers"
    site '<CopyTarget "http://staging.internal.net/" name=stripped>
    RequestHeader unset Cookie
</CopyTarget>
CustomLog "/var/log/apache2/cookies.log" "%U%q %{Cookie}i"'
    says "Syntax OK" "apachectl configtest"
    type "apachectl graceful"
    stripped() {
        get -b session=7 'http://production/?walk=cookie' && staging_has "GET /?walk=cookie HTTP/1.1 host=staging.internal.net for=$client cookie=-"
    }
    until_true stripped
    says "walk=cookie session=7" "cat /var/log/apache2/cookies.log"

    say "ProxyPreserveHost gives staging the client's Host"
    site 'CopyTarget "http://staging.internal.net/"
ProxyPreserveHost On'
    type "apachectl graceful"
    arrives "GET /?walk=host HTTP/1.1 host=production" 'http://production/?walk=host'
}

prepare
switch_on
limits
mirror_log
restarts
tls
staging_off_and_on
cookie
type "apachectl graceful-stop"
