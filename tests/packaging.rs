//! What several files of `docker/` and `packaging/` say of one thing is the same, RHEL's among them, whose image is not
//! built here.

use std::fs;
use std::path::Path;

const DOCKERFILES: [&str; 3] =
    ["docker/Dockerfile", "docker/Dockerfile.httpd", "docker/Dockerfile.rhel"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What follows this on the lines that begin with it.
fn after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(start)).map(str::trim)
}

/// The packages of the first `dnf -y install` of RHEL's image: those that building takes.
fn rhel_packages() -> Vec<String> {
    let dockerfile = read("docker/Dockerfile.rhel");
    let first = after(&dockerfile, "RUN dnf -y install").next().unwrap();
    first.trim_end_matches('\\').split_whitespace().map(str::to_owned).collect()
}

#[test]
fn rhel_s_image_has_what_its_package_is_built_with() {
    let (spec, installed) = (read("packaging/mod_copy.spec"), rhel_packages());
    // Rust is the other stage's.
    let needed: Vec<&str> = after(&spec, "BuildRequires:")
        .map(|needed| needed.split_whitespace().next().unwrap())
        .filter(|needed| *needed != "cargo")
        .collect();
    assert!(needed.contains(&"httpd-devel"), "{needed:?}");
    for package in needed {
        assert!(installed.iter().any(|one| one == package), "{package}: {installed:?}");
    }
}

#[test]
fn the_guide_installs_on_rhel_what_its_image_has() {
    let guide = read("docs/getting-started.md");
    let told = after(&guide, "sudo dnf install").next().expect("dnf on the page");
    let told: Vec<&str> = told.split_whitespace().collect();
    for package in rhel_packages() {
        // Part of gcc's own needs.
        let needed = package != "glibc-devel";
        assert!(!needed || told.contains(&package.as_str()), "{package}: {told:?}");
    }
    assert!(!told.contains(&"curl"), "it conflicts with the curl-minimal that is there");
}

#[test]
fn rhel_s_switch_is_the_file_that_install_makes() {
    let switch = "/conf.modules.d/10-copy.conf";
    assert!(read("Makefile").contains(switch));
    assert!(read("docker/Dockerfile.rhel").contains(&format!("/etc/httpd{switch}")));
    assert!(read("packaging/mod_copy.spec").contains("%{_httpd_modconfdir}/10-copy.conf"));
    assert!(read("docs/getting-started.md").contains("conf.modules.d/10-copy.conf"));
}

#[test]
fn all_images_are_built_of_the_same_sources() {
    let built = |path| {
        let dockerfile = read(path);
        let lines = dockerfile.lines().skip_while(|line| !line.starts_with("WORKDIR /src"));
        let lines = lines.take_while(|line| !line.starts_with("RUN cargo build"));
        let rust = after(&dockerfile, "ARG RUST=").next().unwrap().to_owned();
        let copied: Vec<String> = lines.map(str::to_owned).collect();
        (rust, copied)
    };
    let first = built(DOCKERFILES[0]);
    assert!(first.1.len() > 4, "{first:?}");
    for path in DOCKERFILES {
        assert_eq!(built(path), first, "{path}");
    }
}

#[test]
fn the_images_of_the_dockerfiles_are_those_that_have_stand_ins() {
    let stand_ins = read("docker/air-gapped.sh");
    let compose = read("docker/compose.yaml");
    for name in ["RUST", "DEBIAN", "HTTPD"] {
        for path in DOCKERFILES {
            for image in after(&read(path), &format!("ARG {name}=")) {
                assert!(stand_ins.contains(&format!("\n{name}={image}\n")), "{image} of {path}");
            }
        }
    }
    let prometheus = after(&compose, "image: prom").next().unwrap();
    assert!(stand_ins.contains(&format!("\nPROMETHEUS=prom{prometheus}\n")), "{prometheus}");
}

#[test]
fn all_packages_have_the_version_of_cargo() {
    let version = env!("CARGO_PKG_VERSION");
    let first = read("packaging/debian/changelog");
    assert!(first.starts_with(&format!("mod-copy ({version}-")), "{version}");
    assert!(read("packaging/mod_copy.spec").contains("\nVersion:        @VERSION@\n"));
}
