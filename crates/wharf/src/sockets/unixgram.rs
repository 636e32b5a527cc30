//! Files of Unix datagram sockets.
//!
//! Receivers see a sender by the path that it was bound to, so that such a socket is bound to its
//! public path, and not to another that is renamed: until its owner is set nobody else has
//! permissions.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::fs::{CWD, Mode, RenameFlags, fchmod, renameat_with};
use socket2::{SockAddr, Type};

use super::unix::{Identity, SocketFile, identity, stale, unix_socket, verify};
use super::{BindError, Occupant, owner};
use crate::config::UnixOptions;

/// Only the owner.
const PRIVATE: u32 = 0o700;

/// Receives datagrams on a name in the abstract name space.
pub(super) fn bind_abstract(name: &str) -> std::io::Result<UnixDatagram> {
    let socket = unix_socket(Type::DGRAM)?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Receives datagrams on a path.
pub(super) fn bind_path(
    path: &Path,
    options: &UnixOptions,
) -> Result<(UnixDatagram, SocketFile), BindError> {
    let at = |step| {
        move |source| BindError::Unix {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let address = SockAddr::unix(path).map_err(at("the path has more than 107 bytes"))?;
    if let Some(old) = stale(path)? {
        remove(path, old)?;
    }
    let socket = unix_socket(Type::DGRAM).map_err(at("socket"))?;
    fchmod(&socket, Mode::from_raw_mode(options.mode & PRIVATE))
        .map_err(std::io::Error::from)
        .map_err(at("unix.mode"))?;
    socket
        .bind(&address)
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => BindError::Occupied {
                path: path.to_owned(),
                by: Occupant::Newcomer,
            },
            _ => at("making the socket file")(source),
        })?;
    let file = SocketFile::of(path).map_err(at("looking at the socket file"))?;
    set(&file, options)?;
    Ok((OwnedFd::from(socket).into(), file))
}

/// Gives the file of a bound socket its owner and its mode.
pub(super) fn set(file: &SocketFile, options: &UnixOptions) -> Result<(), BindError> {
    let path = file.path();
    let at = |step| {
        move |source| BindError::Unix {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let uid = options.owner.as_deref().map(owner::user).transpose()?;
    let gid = options.group.as_deref().map(owner::group).transpose()?;
    let mode = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    if uid.is_some() || gid.is_some() {
        mode(options.mode & PRIVATE).map_err(at("unix.mode"))?;
        lchown(path, uid, gid)
            .map_err(at("unix.owner, unix.group (another owner takes CAP_CHOWN)"))?;
    }
    mode(options.mode).map_err(at("unix.mode"))?;
    verify(path, path, options.mode, uid, gid)
}

/// Removes a socket file that nobody receives on: by way of another name, so that one which was put
/// there meanwhile is found, and put back.
fn remove(path: &Path, old: Identity) -> Result<(), BindError> {
    let aside = path.with_file_name(format!(".w{:x}.old", std::process::id()));
    let failed = |source| BindError::Unix {
        path: path.to_owned(),
        step: "removing the socket file that nobody received on",
        source,
    };
    fs::rename(path, &aside).map_err(failed)?;
    if identity(&aside).ok() == Some(old) {
        return fs::remove_file(&aside).map_err(failed);
    }
    // Another server was quicker: it gets its name back.
    let back = renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE);
    back.map_err(|error| failed(error.into()))?;
    Err(BindError::Occupied {
        path: path.to_owned(),
        by: Occupant::Newcomer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wharf-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_socket_has_its_public_name_and_mode() {
        let folder = Folder::new("unixgram-mode");
        let path = folder.0.join("server");
        let options = |mode| UnixOptions {
            mode,
            ..UnixOptions::default()
        };
        let (socket, file) = bind_path(&path, &options(0o662)).unwrap();
        assert_eq!(mode_of(&path), 0o662);
        let local = socket.local_addr().unwrap();
        assert_eq!(local.as_pathname(), Some(path.as_path()));
        set(&file, &options(0o600)).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_file_that_nobody_receives_on_is_replaced() {
        let folder = Folder::new("unixgram-stale");
        let path = folder.0.join("server");
        drop(UnixDatagram::bind(&path).unwrap());
        let (_socket, file) = bind_path(&path, &UnixOptions::default()).unwrap();
        let again = bind_path(&path, &UnixOptions::default()).unwrap_err();
        let BindError::Occupied { by, .. } = again else {
            panic!("{again}");
        };
        assert_eq!(by, Occupant::Server);
        assert!(path.exists());
        drop(file);
        fs::write(&path, "precious").unwrap();
        assert!(bind_path(&path, &UnixOptions::default()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
