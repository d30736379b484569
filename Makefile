# mod_copy's commands. `make help` lists them; `make run` and `make test` are the two to start with.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# rustup's directory, for shells that have not read its profile yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
MODULE := $(TARGET_DIR)/release/libmod_copy.so
FAULTY_MODULE := $(TARGET_DIR)/faults/libmod_copy.so
PYTHON_DIR := $(TARGET_DIR)/python
PYTHON := $(PYTHON_DIR)/bin/python
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
MDBOOK_VERSION := 0.5.4
NIGHTLY ?= nightly
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

DEBIAN_PACKAGES := gcc libc6-dev libclang-dev curl ca-certificates
REDHAT_PACKAGES := gcc clang-devel curl
# Whoever names an apxs builds against a httpd of their own.
ifeq ($(origin APXS),undefined)
DEBIAN_PACKAGES += apache2 apache2-dev
REDHAT_PACKAGES += httpd httpd-devel redhat-rpm-config
else
export APXS
endif
DEBIAN_TEST_PACKAGES := apache2-utils chromium chromium-driver iproute2 libapache2-mod-security2 openssl prometheus python3 wrk
REDHAT_TEST_PACKAGES := chromium chromedriver golang-github-prometheus httpd-tools iproute mod_security openssl python3 wrk
DEBIAN_PYTHON_PACKAGES := python3 python3-venv
REDHAT_PYTHON_PACKAGES := python3 python3-pip
DEBIAN_BENCH_PACKAGES := valgrind strace nginx-light
REDHAT_BENCH_PACKAGES := valgrind strace nginx
DEBIAN_DOCS_PACKAGES := linkchecker
REDHAT_DOCS_PACKAGES := linkchecker
DEBIAN_FUZZ_PACKAGES := g++
REDHAT_FUZZ_PACKAGES := gcc-c++
DEBIAN_ASAN_PACKAGES := libasan8
REDHAT_ASAN_PACKAGES := libasan

apxs = $$(command -v "$${APXS:-apxs}" || command -v "$${APXS:-apxs2}" || { echo "mod_copy: no $${APXS:-apxs}: run \`make deps\`, or name an apxs with APXS=" >&2; exit 1; })

# $(call install-packages,Debian's names,Red Hat's names): installs those that are missing.
define install-packages
missing=()
as_root=()
[ "$$(id -u)" = 0 ] || as_root=(sudo -n)
if command -v apt-get >/dev/null; then
	for package in $(1); do
		[ "$$(dpkg-query -Wf '$${db:Status-Status}' "$$package" 2>/dev/null)" = installed ] || missing+=("$$package")
	done
	if [ $${#missing[@]} -gt 0 ]; then
		echo "mod_copy: installing $${missing[*]}"
		apt_get=("$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
		"$${apt_get[@]}" update && "$${apt_get[@]}" install --no-install-recommends "$${missing[@]}" || {
			echo "mod_copy: could not install them; as root, run: apt-get install $${missing[*]}" >&2
			exit 1
		}
	fi
elif command -v dnf >/dev/null; then
	for package in $(2); do
		rpm -q --whatprovides "$$package" >/dev/null 2>&1 || missing+=("$$package")
	done
	if [ $${#missing[@]} -gt 0 ]; then
		echo "mod_copy: installing $${missing[*]}"
		"$${as_root[@]}" dnf -y install "$${missing[@]}" || {
			echo "mod_copy: could not install them; as root, run: dnf install $${missing[*]}" >&2
			exit 1
		}
	fi
else
	echo "mod_copy: neither apt-get nor dnf is here, so these must be there already (Debian's names): $(1)" >&2
fi
endef

.PHONY: help deps rust nightly test-deps lint-deps bench-deps docs-deps build faults run test lint docs bench soak isolation install uninstall fuzz sanitize miri loom tsan asan memcheck

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: rust ## Install what building and running need (apt-get or dnf); Rust must be there
	@$(call install-packages,$(DEBIAN_PACKAGES),$(REDHAT_PACKAGES))

rust:
	@found=$$(rustc --version 2>/dev/null | cut -d ' ' -f 2 || true)
	if ! command -v $(CARGO) >/dev/null || ! printf '%s\n' $(RUST_VERSION) "$${found:-0}" | sort -CV; then
		echo "mod_copy: Rust $(RUST_VERSION) or newer is needed (found: $${found:-none}); install it with rustup (https://rustup.rs), then run this again" >&2
		exit 1
	fi

test-deps: deps $(PYTHON_DIR)/made
	@$(call install-packages,$(DEBIAN_TEST_PACKAGES),$(REDHAT_TEST_PACKAGES))

# gRPC's peers in the tests; made anew when what they need is another.
$(PYTHON_DIR)/made: tests/grpc/requirements.txt
	@$(call install-packages,$(DEBIAN_PYTHON_PACKAGES),$(REDHAT_PYTHON_PACKAGES))
	rm -rf '$(PYTHON_DIR)'
	python3 -m venv '$(PYTHON_DIR)'
	'$(PYTHON)' -m pip install --quiet --disable-pip-version-check --requirement $<
	touch '$@'

bench-deps: test-deps
	@$(call install-packages,$(DEBIAN_BENCH_PACKAGES),$(REDHAT_BENCH_PACKAGES))

lint-deps: deps
	@for component in rustfmt clippy; do
		$(CARGO) "$${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$$component"
	done
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --version $(CARGO_DENY_VERSION) cargo-deny

build: ## Build the module: target/release/libmod_copy.so
	$(CARGO) build --release --locked

run: deps build ## Show copies arriving: production, its origin and a staging on loopback (ONCE=1: end by itself)
	@MOD_COPY_SO='$(MODULE)' ONCE='$(ONCE)' apache-conf/demo/demo.sh

# The tests' own build, which panics where they ask for it. With their profile, so that it shares what they compile; put
# elsewhere, because they too write a libmod_copy.so, without the feature `httpd`.
faults: deps
	$(CARGO) build --locked --lib --features fault-injection
	install -D '$(TARGET_DIR)/debug/libmod_copy.so' '$(FAULTY_MODULE)'

test: test-deps build faults ## Run the unit tests, then the tests on a real httpd (TESTS: those whose names hold one of these)
	MOD_COPY_SO='$(MODULE)' MOD_COPY_FAULTS_SO='$(FAULTY_MODULE)' MOD_COPY_PYTHON='$(PYTHON)' $(CARGO) test --no-default-features --locked --no-fail-fast $(if $(TESTS),-- $(TESTS))

lint: lint-deps ## Check format, lints, documentation, licences and sources
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	rustfmt --check --edition 2024 models/src/sync.rs models/tests/*.rs
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --lib --features fault-injection -- -D warnings
	RUSTFLAGS=-Dwarnings $(CARGO) check --locked --manifest-path models/Cargo.toml --tests --target-dir '$(TARGET_DIR)/lint'
	# What is only checked needs no library of the fuzzer's.
	RUSTFLAGS='--cfg fuzzing -Dwarnings' CUSTOM_LIBFUZZER_PATH=/nowhere/libfuzzer.a $(CARGO) check --locked --manifest-path fuzz/Cargo.toml --target-dir '$(TARGET_DIR)/lint'
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps --no-default-features
	$(CARGO) fetch --locked
	$(CARGO) deny --offline check bans licenses sources

docs-deps: rust
	@$(call install-packages,$(DEBIAN_DOCS_PACKAGES),$(REDHAT_DOCS_PACKAGES))
	mdbook --version 2>/dev/null | grep -qF ' v$(MDBOOK_VERSION)' || $(CARGO) install --locked --version $(MDBOOK_VERSION) --no-default-features --features search mdbook

# What the pages lead to outside of `docs` lies beside them, as it does here.
docs: docs-deps ## Make a book of docs/, and check its links: target/book/docs/index.html
	rm -rf '$(TARGET_DIR)/book'
	mdbook build docs --dest-dir '$(TARGET_DIR)/book/docs'
	cp -r apache-conf '$(TARGET_DIR)/book/'
	linkchecker --config docs/linkchecker.ini --no-status '$(TARGET_DIR)/book/docs/index.html'

# Another target directory of its own, as for `bench`.
soak: test-deps build ## Account for every request under load, faults and restarts (MINUTES, SEED, MPM)
	MINUTES='$(MINUTES)' SEED='$(SEED)' MPM='$(MPM)' MOD_COPY_SO='$(MODULE)' $(CARGO) bench --no-default-features --locked --bench soak --target-dir '$(TARGET_DIR)/bench'

# A target directory of its own: without the feature `httpd`, a release build too writes a libmod_copy.so.
bench: bench-deps build ## Measure what a copy costs, as ratios of interleaved runs (BENCH_QUICK, BENCH_ONLY, UPDATE_DOCS)
	case ",$${BENCH_ONLY:-micro}," in
		*,micro,*) $(CARGO) bench --no-default-features --locked --bench micro --target-dir '$(TARGET_DIR)/bench' -- $${BENCH_QUICK:+--max-time 0.2} ;;
	esac
	[ "$${BENCH_ONLY:-}" = micro ] || \
	PATH="$$PATH:/usr/sbin" MOD_COPY_SO='$(MODULE)' $(CARGO) bench --no-default-features --locked --bench system --target-dir '$(TARGET_DIR)/bench'

isolation: bench-deps build ## Measure what staging's faults do to production; writes docs/isolation.md
	MOD_COPY_SO='$(MODULE)' $(CARGO) bench --no-default-features --locked --bench isolation --target-dir '$(TARGET_DIR)/bench'

nightly: rust
	@rustc +$(NIGHTLY) --version >/dev/null 2>&1 || rustup toolchain install $(NIGHTLY) --profile minimal

# Without a sanitizer: the targets have no unsafe code of their own, and run ten times as often so.
fuzz: nightly ## Fuzz what reads bytes from outside, each target for so many seconds (SECONDS=60, SEED=0: another each time)
	@$(call install-packages,$(DEBIAN_FUZZ_PACKAGES),$(REDHAT_FUZZ_PACKAGES))
	$(CARGO) fuzz --version 2>/dev/null | grep -qF ' $(CARGO_FUZZ_VERSION)' || $(CARGO) install --locked --version $(CARGO_FUZZ_VERSION) cargo-fuzz
	$(CARGO) +$(NIGHTLY) fuzz build --sanitizer none --target-dir '$(TARGET_DIR)/fuzz'
	for file in fuzz/fuzz_targets/*.rs; do
		target=$$(basename "$$file" .rs)
		found='$(TARGET_DIR)/fuzz/found'/$$target
		mkdir -p "$$found" fuzz/artifacts/$$target
		echo "mod_copy: fuzzing $$target"
		"$(TARGET_DIR)/fuzz/$(HOST)/release/$$target" -max_total_time='$(or $(SECONDS),60)' -seed='$(or $(SEED),0)' \
			-timeout=10 -verbosity=0 -print_final_stats=1 -artifact_prefix=fuzz/artifacts/$$target/ \
			"$$found" fuzz/corpus/$$target 2>&1 | grep -vE '^(INFO|stat::(new|slow|peak))'
	done

sanitize: loom miri tsan asan memcheck ## Run the core and httpd under everything that watches memory and threads

loom: rust ## Run what is shared between threads and processes in every order of their steps
	$(CARGO) test --locked --manifest-path models/Cargo.toml --target-dir '$(TARGET_DIR)/models'

# The core's tests that open no socket, which Miri does not have, and take no minutes in it. What they leak
# is what they make static.
MIRI_TESTS := alarm:: balancer:: breaker:: capture:: channel:: config::settings config::values memory:: message:: outcome:: stats:: target:: forward::head forward::names
MIRI_SKIP := a_target_keeps_its_place_by_its_name there_is_at_most_one_probe
miri: nightly ## Run the core's tests in Miri, those with threads in many orders
	@rustup component add --toolchain $(NIGHTLY) miri rust-src
	MIRIFLAGS='-Zmiri-ignore-leaks' $(CARGO) +$(NIGHTLY) miri test --locked --no-default-features --lib --target-dir '$(TARGET_DIR)/miri' -- $(MIRI_TESTS) $(addprefix --skip ,$(MIRI_SKIP))
	MIRIFLAGS='-Zmiri-ignore-leaks -Zmiri-many-seeds=0..8' $(CARGO) +$(NIGHTLY) miri test --locked --no-default-features --lib --target-dir '$(TARGET_DIR)/miri' -- is_counted_once never_pass_the_limit_together get_every_place alarm::tests::nothing_is_overslept

# The standard library is built with it too, for its synchronisation has to be seen. Left out is a test that searches all
# memory of the process, of which there is no end with the sanitizer's own.
TSAN_SKIP := what_was_masked_is_nowhere_in_memory
tsan: nightly ## Run the core's tests under ThreadSanitizer
	@rustup component add --toolchain $(NIGHTLY) rust-src
	RUST_BACKTRACE=0 RUSTFLAGS=-Zsanitizer=thread $(CARGO) +$(NIGHTLY) test --locked -Zbuild-std --target $(HOST) --no-default-features --lib --target-dir '$(TARGET_DIR)/tsan' -- $(addprefix --skip ,$(TSAN_SKIP))

ASAN_TESTS := session:: secure:: copying:: accounting:: targets:: once:: answers:: tls:: stopping:: scrub:: balancer:: manager:: choose:: --skip a_panic_costs
asan: test-deps nightly ## Run tests on a real httpd under AddressSanitizer and LeakSanitizer, under each MPM
	@$(call install-packages,$(DEBIAN_ASAN_PACKAGES),$(REDHAT_ASAN_PACKAGES))
	RUSTFLAGS=-Zsanitizer=address $(CARGO) +$(NIGHTLY) build --locked --target $(HOST) --target-dir '$(TARGET_DIR)/asan'
	MOD_COPY_UNDER='$(CURDIR)/tests/under/asan' MOD_COPY_SO='$(TARGET_DIR)/asan/$(HOST)/debug/libmod_copy.so' $(CARGO) test --no-default-features --locked --test integration -- $(ASAN_TESTS)

# Under prefork valgrind and httpd's accept mutex do not agree; `asan` runs it.
memcheck: test-deps build ## Run a session of httpd under valgrind's memcheck, under the MPMs with threads
	@$(call install-packages,valgrind,valgrind)
	MOD_COPY_UNDER='$(CURDIR)/tests/under/memcheck' MOD_COPY_SO='$(MODULE)' $(CARGO) test --no-default-features --locked --test integration -- session:: --skip prefork --test-threads=1

$(MODULE):
	$(MAKE) build

install: | $(MODULE) ## Put the module where httpd finds it, switched off (DESTDIR, APXS)
	@apxs=$(apxs)
	modules=$$("$$apxs" -q LIBEXECDIR)
	conf=$$("$$apxs" -q SYSCONFDIR)
	load() { sed "s|/usr/lib/apache2/modules|$$modules|" apache-conf/copy.load; }
	# Unlinks what was there: a running httpd keeps the old file.
	install -D -m 0644 '$(MODULE)' "$(DESTDIR)$$modules/mod_copy.so"
	if [ -d "$$conf/mods-available" ] || [ -d "$(DESTDIR)$$conf/mods-available" ]; then
		install -D -m 0644 <(load) "$(DESTDIR)$$conf/mods-available/copy.load"
		if [ -e "$(DESTDIR)$$conf/mods-available/copy.conf" ]; then
			echo "mod_copy: kept $(DESTDIR)$$conf/mods-available/copy.conf"
		else
			install -D -m 0644 apache-conf/copy.conf "$(DESTDIR)$$conf/mods-available/copy.conf"
		fi
		echo "mod_copy: installed; switch it on with: a2enmod copy, then apachectl configtest and restart"
	elif [ -d "$${conf%/conf}/conf.modules.d" ] || [ -d "$(DESTDIR)$${conf%/conf}/conf.modules.d" ]; then
		file="$${conf%/conf}/conf.modules.d/10-copy.conf"
		if [ -e "$(DESTDIR)$$file" ]; then
			echo "mod_copy: installed; kept $(DESTDIR)$$file"
		else
			install -D -m 0644 <(load | sed 's|^LoadModule|#&|') "$(DESTDIR)$$file"
			echo "mod_copy: installed; switch it on by uncommenting the line in $$file, then apachectl configtest and restart"
		fi
	else
		echo "mod_copy: installed; switch it on with this line in the configuration: $$(load | grep ^LoadModule)"
	fi

uninstall: ## Take away what install put there (DESTDIR, APXS)
	@apxs=$(apxs)
	modules=$$("$$apxs" -q LIBEXECDIR)
	conf=$$("$$apxs" -q SYSCONFDIR)
	available="$(DESTDIR)$$conf/mods-available"
	if [ -z "$(DESTDIR)" ] && [ -e "$$conf/mods-enabled/copy.load" ]; then
		a2dismod -q copy
	fi
	if [ -e "$$available/copy.conf" ] && ! cmp -s apache-conf/copy.conf "$$available/copy.conf"; then
		echo "mod_copy: kept $$available/copy.conf, which was changed"
	else
		rm -f "$$available/copy.conf"
	fi
	rm -f "$(DESTDIR)$$modules/mod_copy.so" "$$available/copy.load" "$(DESTDIR)$${conf%/conf}/conf.modules.d/10-copy.conf"
	echo "mod_copy: removed; directives of it that are left elsewhere now fail apachectl configtest"

include packaging/release.mk
