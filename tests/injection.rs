//! Panics and waits that a test asks of the faulty module, by files: see `src/boundary.rs`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::wait::wait_for;

/// The faults of one httpd.
pub struct Faults(PathBuf);

impl Faults {
    /// Makes the directory, where httpd's children may use files up.
    pub fn prepare(root: &Path) {
        let Faults(directory) = Faults::of(root);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    }

    /// Those of the httpd with this ServerRoot.
    pub fn of(root: &Path) -> Faults {
        Faults(root.join("faults"))
    }

    /// Has the module panic once, the next time it comes by this point.
    pub fn panic_at(&self, point: &str) {
        File::create(self.0.join(format!("{point}.panic"))).unwrap();
    }

    /// Whether the panic took place.
    pub fn has_panicked(&self, point: &str) -> bool {
        !self.0.join(format!("{point}.panic")).exists()
    }

    /// Has the module not panic after all.
    pub fn calm(&self, point: &str) {
        fs::remove_file(self.0.join(format!("{point}.panic"))).unwrap();
    }

    /// Has the module wait at this point from now on.
    pub fn shut(&self, point: &str) -> Gate {
        let path = self.0.join(format!("{point}.gate"));
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        // Whatever the system's mask took away.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Gate { path }
    }
}

/// A point that the module does not pass until the gate is dropped.
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// Waits until a thread has come to the gate; it waits there until what this returns is dropped.
    pub fn wait(&self) -> File {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        wait_for("a thread at the gate", || {
            // Opening a pipe for writing fails while nobody reads it.
            OpenOptions::new().write(true).custom_flags(flags).open(&self.path).ok()
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Who waits for the pipe to be opened is let go; nobody comes to it any more.
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap())
            .open(&self.path);
        fs::remove_file(&self.path).unwrap();
        drop(opened);
    }
}
