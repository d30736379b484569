# Images, packages and releases, and one build for several httpds. Included by the Makefile.

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
PACKAGES := $(TARGET_DIR)/packages
# Where packages are compiled, from a copy of the sources.
PACKAGE_TARGET_DIR ?= $(TARGET_DIR)/packaging
CARGO_CYCLONEDX_VERSION := 0.5.9
DEBIAN_PACKAGING_PACKAGES := debhelper dh-apache2 dpkg-dev fakeroot lintian
DEBIAN_DOCKER_PACKAGES := curl debootstrap docker-compose docker.io iptables
REDHAT_DOCKER_PACKAGES := curl debootstrap docker docker-compose iptables

.PHONY: docker-test test-old deb rpm dist

# $(call source-into,folder): what a release is made of, as it is in this checkout; new to cargo, which goes by time.
define source-into
rm -rf $(1)
mkdir -p $(1)
tar -c --exclude-vcs --exclude=./target --exclude=./fuzz/target --exclude=./models/target --exclude=./fuzz/artifacts . | tar -xm -C $(1)
endef

docker-test: ## Test the images: the suite inside, production and staging as containers (PARTS, TESTS, AIR_GAPPED=1)
	@docker version >/dev/null 2>&1 || { $(call install-packages,$(DEBIAN_DOCKER_PACKAGES),$(REDHAT_DOCKER_PACKAGES)); }
	docker/test.sh $(PARTS)

# One build for all: made with the oldest httpd's headers, loaded by that httpd and by the packaged one. Without what needs
# another module than httpd's own (mod_security), what tells how a newer httpd reads HTTP/2, and what 2.4.37 itself does
# otherwise: the event MPM says other things of busy workers, and of eight it leaves connections without an answer; the worker
# MPM's children take seconds to stop.
OLD_TESTS := session:: secure:: copying:: accounting:: targets:: once:: answers:: tls:: stopping:: balancer:: breaker:: choose:: scrub:: status:: manager:: loading:: configtest:: --skip choose::pressure \
	--skip all_children::event --skip drain_timeout::worker --skip in_flight_ends_in_time::worker
test-old: test-deps ## Test one build on an older httpd and on the packaged one (APXS=the older one's apxs, OLD_TESTS)
ifneq ($(origin APXS),undefined)
	old=$$("$$APXS" -q sbindir)/$$("$$APXS" -q progname)
	"$$old" -v
	$(CARGO) build --release --locked --target-dir '$(TARGET_DIR)/old'
	$(CARGO) build --locked --lib --features fault-injection --target-dir '$(TARGET_DIR)/old'
	install -D '$(TARGET_DIR)/old/debug/libmod_copy.so' '$(TARGET_DIR)/old/faults/libmod_copy.so'
	export MOD_COPY_SO='$(TARGET_DIR)/old/release/libmod_copy.so' MOD_COPY_FAULTS_SO='$(TARGET_DIR)/old/faults/libmod_copy.so'
	$(CARGO) test --no-default-features --locked --test integration -- $(OLD_TESTS)
	unset APXS
	"$$(apxs -q sbindir)/$$(apxs -q progname)" -v
	$(CARGO) test --no-default-features --locked --test integration -- $(OLD_TESTS)
else
	@echo "mod_copy: name the older httpd's apxs with APXS=" >&2
	exit 1
endif

deb: deps ## Make Debian's package, checked with lintian: target/packages/libapache2-mod-copy_*.deb
	@$(call install-packages,$(DEBIAN_PACKAGING_PACKAGES),)
	source='$(TARGET_DIR)/deb/mod-copy-$(VERSION)'
	$(call source-into,"$$source")
	cp -r packaging/debian "$$source/debian"
	cd "$$source"
	[ "$$(dpkg-parsechangelog -S Version)" = '$(VERSION)-1' ] || { echo "mod_copy: packaging/debian/changelog is of another version than Cargo.toml" >&2; exit 1; }
	CARGO_TARGET_DIR='$(PACKAGE_TARGET_DIR)' dpkg-buildpackage -us -uc -b -d
	lintian --fail-on error,warning --info ../mod-copy_*.changes
	mkdir -p '$(PACKAGES)'
	cp ../libapache2-mod-copy_*.deb '$(PACKAGES)'

# On Debian: to see what the package has in it.
rpm: deps ## Make the RHEL family's package: target/packages/mod_copy-*.rpm
	@$(call install-packages,rpm,rpm-build)
	room='$(TARGET_DIR)/rpm'
	$(call source-into,"$$room/mod_copy-$(VERSION)")
	mkdir -p "$$room/SOURCES" '$(PACKAGES)'
	tar -cJf "$$room/SOURCES/mod_copy-$(VERSION).tar.xz" -C "$$room" 'mod_copy-$(VERSION)'
	sed -e 's/@VERSION@/$(VERSION)/' -e 's/@RUST@/$(RUST_VERSION)/' packaging/mod_copy.spec > "$$room/mod_copy.spec"
	here=()
	if ! command -v dnf >/dev/null; then
		here=(--nodeps -D '_httpd_apxs $(CURDIR)/packaging/rhel-apxs' -D '_httpd_mmn 20120211x8664' -D '_httpd_moddir /usr/lib64/httpd/modules' -D '_httpd_modconfdir /etc/httpd/conf.modules.d')
	fi
	CARGO_TARGET_DIR='$(PACKAGE_TARGET_DIR)' rpmbuild -bb -D "_topdir $$room" "$${here[@]}" "$$room/mod_copy.spec"
	cp "$$room"/RPMS/*/mod_copy-$(VERSION)-*.rpm '$(PACKAGES)'

# What a release's module needs is what this machine has: make it on the oldest system, with the oldest httpd's apxs.
dist: deb ## Make a release: source, module, package, SBOM and checksums in target/dist (APXS=the oldest httpd's)
	@$(CARGO) cyclonedx --version 2>/dev/null | grep -qF '$(CARGO_CYCLONEDX_VERSION)' || $(CARGO) install --locked --version $(CARGO_CYCLONEDX_VERSION) cargo-cyclonedx
	apxs=$(apxs)
	dist='$(TARGET_DIR)/dist'
	source='mod_copy-$(VERSION)'
	export SOURCE_DATE_EPOCH=$$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp)
	rm -rf "$$dist"
	$(call source-into,"$$dist/$$source")
	cd "$$dist"
	$(CARGO) cyclonedx --manifest-path "$$source/Cargo.toml" --format json --spec-version 1.5 --override-filename sbom
	# Told of by its place among the sources, not on this machine.
	sed "s|path+file://[^\"#]*/$$source|path+file:///$$source|g; s|download_url=file://[^\"&]*|download_url=file://.|g" "$$source/sbom.json" > "$$source.cdx.json"
	rm "$$source/sbom.json"
	! grep -F '$(TARGET_DIR)' "$$source.cdx.json" || { echo "mod_copy: the SBOM has paths of this machine" >&2; exit 1; }
	tar --sort=name --mtime="@$$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cJf "$$source.tar.xz" "$$source"
	rm -r "$$source"
	cp '$(PACKAGES)'/libapache2-mod-copy_$(VERSION)-1_*.deb .
	module="$$source-$(HOST).so"
	dpkg-deb --fsys-tarfile libapache2-mod-copy_$(VERSION)-1_*.deb | tar -xO ./usr/lib/apache2/modules/mod_copy.so > "$$module"
	headers=$$("$$apxs" -q INCLUDEDIR)
	number() { awk -v name="$$1" '$$1 == "#define" && $$2 == name { print $$3 }' "$$headers/$$2"; }
	{
		echo "$$module"
		echo "needs glibc $$(objdump -T "$$module" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1) or newer,"
		echo "and an httpd of module magic number $$(number MODULE_MAGIC_NUMBER_MAJOR ap_mmn.h), 2.4.$$(number AP_SERVER_PATCHLEVEL_NUMBER ap_release.h) or newer."
	} | tee "$$source-$(HOST).txt"
	sha256sum -- * > SHA256SUMS
	sha256sum --check --strict SHA256SUMS
