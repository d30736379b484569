//! The key that values are hashed with: a file of the administrator's, or chance.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use once_cell::sync::Lazy;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::mask::Key;

/// The fewest bytes of a key.
const LEAST: usize = 16;

/// Reads a key: all bytes of the file, less the end of its last line.
pub(super) fn read(file: &Path) -> Result<Key, String> {
    let told = |what: String| format!("{}: {what}", file.display());
    let mode = fs::metadata(file).map_err(|error| told(error.to_string()))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!(
            "expected a file that only its owner may read (mode 0600), found mode {mode:04o}"
        );
        return Err(told(what));
    }
    let bytes = fs::read(file).map_err(|error| told(error.to_string()))?;
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    match key.strip_suffix(b"\r").unwrap_or(key) {
        key if key.len() >= LEAST => Ok(Key::of(key)),
        key => Err(told(format!("expected a key of at least {LEAST} bytes, found {}", key.len()))),
    }
}

/// A key that nobody knows, and that lasts as long as the server, graceful restarts included.
pub(super) fn chance() -> Key {
    static CHANCE: Lazy<Key> = Lazy::new(|| {
        let mut bytes = [0; 32];
        // Without the system's randomness, an address that is randomised at least.
        if getrandom(&mut bytes, GetRandomFlags::empty()).is_err() {
            let place = std::ptr::from_ref(&bytes).addr().to_ne_bytes();
            return Key::of(&place);
        }
        Key::of(&bytes)
    });
    CHANCE.clone()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_is_for_its_owners_eyes_and_long_enough() {
        for (content, mode, wrong) in [
            ("0123456789abcdef", 0o600, None),
            ("0123456789abcdef\n", 0o400, None),
            ("0123456789abcdef", 0o640, Some("found mode 0640")),
            ("0123456789abcdef", 0o604, Some("found mode 0604")),
            ("0123456789abcde\n", 0o600, Some("expected a key of at least 16 bytes, found 15")),
        ] {
            let (_folder, path) = file(content, mode);
            match (read(&path), wrong) {
                (Ok(_), None) => {}
                (Err(told), Some(wrong)) => {
                    assert!(told.ends_with(wrong), "{told}");
                    assert!(told.starts_with(&path.display().to_string()), "{told}");
                }
                (read, wrong) => panic!("{content} {mode:o}: {read:?} and not {wrong:?}"),
            }
        }
        assert!(read(Path::new("/nowhere")).unwrap_err().contains("No such file"));
    }
}
