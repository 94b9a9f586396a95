//! A directory of a command's own, which does not outlive it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

/// The database closes its files in the background while they are removed.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(25);

/// An empty directory that only this user can read. Removed, contents included,
/// when dropped.
pub(super) struct ThrowAway {
    path: PathBuf,
}

impl ThrowAway {
    /// Makes one in a directory; its name begins with `prefix`.
    pub(super) fn create(parent: &Path, prefix: &str) -> Result<Self, String> {
        let path = parent.join(format!("{prefix}-{}", Uuid::new_v4().simple()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path }),
            Err(e) => Err(format!("cannot make the directory {}: {e}", path.display())),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, and says where that does not work.
    pub(super) async fn remove(self) -> Result<(), String> {
        let mut result = remove(&self.path);
        for _ in 1..TRIES {
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
            result = remove(&self.path);
        }
        result.map_err(|e| format!("cannot remove {}: {e}", self.path.display()))
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        // For a command that panics; otherwise it is gone already.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_goes_with_its_contents() {
        let fill = |directory: &ThrowAway| {
            fs::write(directory.path().join("tidings.db"), "x").expect("a file");
            directory.path().to_owned()
        };
        let create = || ThrowAway::create(&std::env::temp_dir(), "tidings-test");
        let removed = create().expect("a directory");
        let first = fill(&removed);
        removed.remove().await.expect("removed");
        let dropped = create().expect("a directory");
        let second = fill(&dropped);
        drop(dropped);
        assert_ne!(first, second);
        assert!(!first.exists() && !second.exists());
    }
}
