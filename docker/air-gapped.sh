#!/usr/bin/env bash
# Makes stand-ins, under the same tags, for the images that our Dockerfiles begin with, where no registry of images can
# be reached. As root, from anywhere:
#
#   docker/air-gapped.sh [IMAGE …]        those of our Dockerfiles and tests, where none is named
#
# Debian comes from the mirror that this machine's apt uses, or from MIRROR=; Rust, the sources of our dependencies and
# the CA bundle from this machine; httpd from Debian's source package, built into /usr/local/apache2.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

SUITE=bookworm
DEBIAN=debian:bookworm-slim
RUST=rust:1-bookworm
HTTPD=httpd:2.4
PROMETHEUS=prom/prometheus:v3.5.0

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

fail() {
    echo "air-gapped.sh: $*" >&2
    exit 1
}

# The lines of sources.list for the suite and its updates, as this machine's apt has them.
sources() {
    if [ -n "${MIRROR:-}" ]; then
        printf 'deb %s %s main\n' "$MIRROR" "$SUITE"
        return
    fi
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        grep -E " $SUITE(-updates|-security)? main$" | sort -u
}

debian() {
    local mirror
    mirror=${MIRROR:-$(sources | sed -n "s/^deb \([^ ]*\) $SUITE main$/\1/p" | head -n 1)}
    [ -n "$mirror" ] || fail "this machine's apt has no mirror of $SUITE: name one with MIRROR="
    command -v debootstrap >/dev/null || fail "debootstrap is missing"
    debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$room/debian" "$mirror" >"$room/log" ||
        { tail -n 20 "$room/log" >&2; fail "debootstrap failed"; }
    sources >"$room/debian/etc/apt/sources.list"
    # With the CAs that this machine trusts, as a mirror behind a proxy of one's own needs.
    cp /etc/ssl/certs/ca-certificates.crt "$room/debian/etc/ssl/certs/ca-certificates.crt"
    # No services, documentation and recommended packages, and no package files kept.
    printf '#!/bin/sh\nexit 101\n' >"$room/debian/usr/sbin/policy-rc.d"
    chmod +x "$room/debian/usr/sbin/policy-rc.d"
    printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$room/debian/etc/dpkg/dpkg.cfg.d/container"
    rm -rf "$room/debian/var/cache/apt/archives"/*.deb "$room/debian/var/lib/apt/lists"/*
    tar -C "$room/debian" -c . | docker import --change 'CMD ["bash"]' - "$DEBIAN"
    rm -rf "$room/debian"
}

# Where the official image has it, with every crate that Cargo.lock names.
rust() {
    local home
    command -v cargo >/dev/null || fail "cargo is missing: the stand-in for $RUST is made of this machine's Rust"
    home=$room/rust/usr/local
    mkdir -p "$home/rustup/toolchains/here" "$home/cargo/bin"
    tar -C "$(rustc --print sysroot)" --exclude=share/doc --exclude=share/man -c . |
        tar -C "$home/rustup/toolchains/here" -x
    for program in cargo rustc rustdoc; do
        ln -s "../../rustup/toolchains/here/bin/$program" "$home/cargo/bin/$program"
    done
    cargo vendor --locked --versioned-dirs --manifest-path "$top/Cargo.toml" "$home/cargo/vendor" >/dev/null
    cat >"$home/cargo/config.toml" <<'TOML'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/usr/local/cargo/vendor"
[net]
offline = true
TOML
    cat >"$room/rust/Dockerfile" <<DOCKERFILE
FROM $DEBIAN
RUN apt-get update \\
    && apt-get install -y --no-install-recommends g++ gcc libc6-dev make pkg-config \\
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:\$PATH
COPY usr/ /usr/
DOCKERFILE
    docker build -t "$RUST" "$room/rust"
    rm -rf "$room/rust"
}

httpd() {
    mkdir "$room/httpd"
    cat >"$room/httpd/httpd-foreground" <<'SH'
#!/bin/sh
set -e
rm -f /usr/local/apache2/logs/httpd.pid
exec httpd -DFOREGROUND "$@"
SH
    chmod +x "$room/httpd/httpd-foreground"
    cat >"$room/httpd/Dockerfile" <<DOCKERFILE
FROM $DEBIAN AS build
RUN sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list \\
    && apt-get update \\
    && apt-get install -y --no-install-recommends build-essential \\
    && DEBIAN_FRONTEND=noninteractive apt-get build-dep -y --no-install-recommends apache2
WORKDIR /build
# The newest that the mirror has whole, as httpd's authors have it.
RUN for version in \$(apt-cache showsrc --only-source apache2 | sed -n 's/^Version: //p' | sort -rV); do \\
        apt-get source --download-only "apache2=\$version" && break; \\
    done \\
    && tar -xf apache2_*.orig.tar.?z \\
    && cd httpd-*/ \\
    && ./configure --prefix=/usr/local/apache2 --enable-mods-shared=reallyall --enable-mpms-shared=all \\
    && make -j "\$(nproc)" \\
    && make install
RUN cd /usr/local/apache2 \\
    && rm -rf man manual \\
    && sed -i -e 's!^\\( *CustomLog\\) [^ ]*!\\1 /proc/self/fd/1!' -e 's!^ErrorLog .*!ErrorLog /proc/self/fd/2!' \\
        -e 's/^User .*/User www-data/' -e 's/^Group .*/Group www-data/' conf/httpd.conf

FROM $DEBIAN
ENV HTTPD_PREFIX=/usr/local/apache2 PATH=/usr/local/apache2/bin:\$PATH
WORKDIR /usr/local/apache2
RUN apt-get update \\
    && apt-get install -y --no-install-recommends libaprutil1 libaprutil1-ldap libbrotli1 libcurl4 libjansson4 \\
        libldap-2.5-0 liblua5.3-0 libnghttp2-14 libpcre2-8-0 libssl3 libxml2 perl-base zlib1g \\
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/apache2/ /usr/local/apache2/
COPY httpd-foreground /usr/local/bin/
STOPSIGNAL SIGWINCH
EXPOSE 80
CMD ["httpd-foreground"]
DOCKERFILE
    docker build -t "$HTTPD" "$room/httpd"
}

prometheus() {
    docker build -t "$PROMETHEUS" - <<DOCKERFILE
FROM $DEBIAN
RUN apt-get update \\
    && apt-get install -y --no-install-recommends prometheus \\
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
DOCKERFILE
}

[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
[ $# -gt 0 ] || set -- "$DEBIAN" "$RUST" "$HTTPD" "$PROMETHEUS"
for image; do
    echo "air-gapped.sh: $image"
    # The others begin with Debian.
    [ "$image" = "$DEBIAN" ] || docker image inspect "$DEBIAN" >/dev/null 2>&1 || debian
    case $image in
        "$DEBIAN") debian ;;
        "$RUST") rust ;;
        "$HTTPD") httpd ;;
        "$PROMETHEUS") prometheus ;;
        *) fail "no stand-in for $image is known" ;;
    esac
done
