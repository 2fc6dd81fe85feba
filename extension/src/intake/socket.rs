//! The Unix socket: bound for this user alone, over what a dead process left and over nothing else.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

/// Binds `path`, with mode 0600: in an environment everything runs under one user.
///
/// # Errors
/// When a living process listens there, when something that is no socket is there, or when it cannot be made.
pub(super) async fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path).await?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes a socket that nobody listens on: `/tmp` outlives a process of ours that was killed.
async fn remove_stale(path: &Path) -> io::Result<()> {
    // Of the name itself: a link is no socket, wherever it leads.
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something that is no socket"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder of a test, taken away at its end.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("prefreeze-socket-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("the temporary folder can be written");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[tokio::test]
    async fn a_socket_is_for_its_user_alone() {
        let folder = Folder::new("mode");
        let path = folder.0.join("s");
        let _listener = bind_socket(&path).await.expect("nothing is there");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_a_living_one_is_not() {
        let folder = Folder::new("stale");
        let path = folder.0.join("s");
        let first = bind_socket(&path).await.expect("nothing is there");
        let taken = bind_socket(&path).await.expect_err("it is taken");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        // Its name stays behind, as after a kill.
        drop(first);
        bind_socket(&path).await.expect("nobody listens there any more");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = Folder::new("file");
        let (file, link) = (folder.0.join("file"), folder.0.join("link"));
        fs::write(&file, "precious").expect("the folder is ours");
        symlink(&file, &link).expect("the folder is ours");
        let (stale, stale_link) = (folder.0.join("stale"), folder.0.join("stale-link"));
        drop(std::os::unix::net::UnixListener::bind(&stale).expect("the folder is ours"));
        symlink(&stale, &stale_link).expect("the folder is ours");
        for path in [&file, &link, &stale_link, &folder.0] {
            bind_socket(path).await.expect_err("something is there");
        }
        assert_eq!(fs::read(&file).expect("it is still there"), b"precious");
        assert!(fs::symlink_metadata(&link).expect("still there").file_type().is_symlink());
        assert!(fs::symlink_metadata(&stale).expect("still there").file_type().is_socket());
    }
}
