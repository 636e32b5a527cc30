//! Unix sockets: a file whose mode and owner are in force before anybody can connect, that replaces
//! only what nobody listens on, and that is removed only while it is ours.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::fs::{CWD, Mode, RenameFlags, fchmod, renameat_with};
use socket2::{Domain, SockAddr, Socket, Type};

use super::bind::{Listening, backlog};
use super::{BindError, Occupant, owner};
use crate::config::{AcceptOptions, UnixOptions};

/// Which file: device and inode number.
pub(crate) type Identity = (u64, u64);

/// The file of a socket that listens here. Dropping it removes the file, unless another one has
/// taken its place or another process the socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
    /// Whether it is this process that removes it.
    ours: AtomicBool,
}

impl SocketFile {
    /// The file of a socket that another process made, which still removes it.
    pub(crate) fn of_another(path: PathBuf, identity: Identity) -> Self {
        Self {
            path,
            identity,
            ours: AtomicBool::new(false),
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether the path still leads to it.
    pub(crate) fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }

    /// Says whether it is this process that removes it.
    pub(crate) fn own(&self, ours: bool) {
        self.ours.store(ours, Ordering::SeqCst);
    }

    /// The file at `path`, from now on removed by this.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
            ours: AtomicBool::new(true),
        })
    }

    /// Makes a new listening socket, with other options, in the place of this one: clients find one
    /// or the other at any moment, and what waits in the old one's backlog stays there.
    pub fn replace(
        &self,
        accept: &AcceptOptions,
        options: &UnixOptions,
    ) -> Result<Listening, BindError> {
        let (listener, file) = bind_path(&self.path, accept, options, Some(self))?;
        Ok(Listening::Unix(listener, Some(file)))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.ours.load(Ordering::SeqCst) && self.is_there() {
            // What cannot be removed is stale, and the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on a name in the abstract name space.
pub(super) fn bind_abstract(name: &str, accept: &AcceptOptions) -> io::Result<UnixListener> {
    let socket = unix_socket(Type::STREAM)?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    socket.listen(backlog(accept))?;
    Ok(OwnedFd::from(socket).into())
}

/// Listens on a path.
///
/// The socket is made under a temporary name beside it, gets its mode and owner, begins to listen,
/// and only then appears at `path`, by one atomic rename.
pub(super) fn bind_path(
    path: &Path,
    accept: &AcceptOptions,
    options: &UnixOptions,
    old: Option<&SocketFile>,
) -> Result<(UnixListener, SocketFile), BindError> {
    let at = |step| {
        move |source| BindError::Unix {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let uid = options.owner.as_deref().map(owner::user).transpose()?;
    let gid = options.group.as_deref().map(owner::group).transpose()?;
    // Clients could not name a longer one: 107 bytes (unix(7)).
    SockAddr::unix(path).map_err(at("the path has more than 107 bytes"))?;
    let replaced = match old {
        Some(old) => Some(old.identity),
        None => stale(path)?,
    };

    let socket = unix_socket(Type::STREAM).map_err(at("socket"))?;
    // The file gets this mode, less the umask, as it is made; never a wider one.
    fchmod(&socket, Mode::from_raw_mode(options.mode))
        .map_err(io::Error::from)
        .map_err(at("unix.mode"))?;
    let mut file = bind_beside(&socket, path).map_err(at("making the socket file"))?;
    if uid.is_some() || gid.is_some() {
        lchown(&file.path, uid, gid)
            .map_err(at("unix.owner, unix.group (another owner takes CAP_CHOWN)"))?;
    }
    fs::set_permissions(&file.path, fs::Permissions::from_mode(options.mode))
        .map_err(at("unix.mode"))?;
    verify(&file.path, path, options.mode, uid, gid)?;
    socket.listen(backlog(accept)).map_err(at("listen"))?;
    put_in_place(&mut file, path, replaced)?;
    Ok((OwnedFd::from(socket).into(), file))
}

/// Binds to a name of its own in the directory of `path`.
fn bind_beside(socket: &Socket, path: &Path) -> io::Result<SocketFile> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, as the whole path has at most 107 bytes.
        let name = format!(".w{:x}.{number:x}", std::process::id());
        let path = path.with_file_name(name);
        match socket.bind(&SockAddr::unix(&path)?) {
            Ok(()) => {
                let identity = identity(&path)?;
                let ours = AtomicBool::new(true);
                return Ok(SocketFile {
                    path,
                    identity,
                    ours,
                });
            }
            // Left by a process of the same number that was killed; each turn tries another name.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

/// Moves the file to its public name: where nothing is, or in exchange for the file `replaced`.
fn put_in_place(
    file: &mut SocketFile,
    path: &Path,
    replaced: Option<Identity>,
) -> Result<(), BindError> {
    let rename = |flags| renameat_with(CWD, &file.path, CWD, path, flags);
    let newcomer = || BindError::Occupied {
        path: path.to_owned(),
        by: Occupant::Newcomer,
    };
    let failed = |error: rustix::io::Errno| match error {
        rustix::io::Errno::EXIST | rustix::io::Errno::NOENT => newcomer(),
        _ => BindError::Unix {
            path: path.to_owned(),
            step: "renaming the socket file into place (the file system must know renameat2)",
            source: error.into(),
        },
    };
    let Some(replaced) = replaced else {
        rename(RenameFlags::NOREPLACE).map_err(failed)?;
        path.clone_into(&mut file.path);
        return Ok(());
    };
    rename(RenameFlags::EXCHANGE).map_err(failed)?;
    if identity(&file.path).ok() != Some(replaced) {
        // Another server was quicker: it gets its name back.
        rename(RenameFlags::EXCHANGE).map_err(failed)?;
        return Err(newcomer());
    }
    let old = std::mem::replace(&mut file.path, path.to_owned());
    fs::remove_file(old).map_err(|source| BindError::Unix {
        path: path.to_owned(),
        step: "removing the socket file that nobody listened on",
        source,
    })
}

/// What may be replaced at `path`: nothing, or a socket on which nobody answers.
pub(super) fn stale(path: &Path) -> Result<Option<Identity>, BindError> {
    let occupied = |by| {
        Err(BindError::Occupied {
            path: path.to_owned(),
            by,
        })
    };
    let failed = |step| {
        move |source| BindError::Unix {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("looking at the path")(error)),
    };
    if !found.file_type().is_socket() {
        return occupied(Occupant::NoSocket);
    }
    let asked = unix_socket(Type::STREAM)
        .and_then(|socket| socket.connect(&SockAddr::unix(path)?))
        .map_err(|error| error.kind());
    match asked {
        Err(io::ErrorKind::ConnectionRefused) => Ok(Some((found.dev(), found.ino()))),
        // Removed meanwhile.
        Err(io::ErrorKind::NotFound) => Ok(None),
        // An answer, a full backlog, another kind of socket, or no permission to ask.
        _ => occupied(Occupant::Server),
    }
}

/// Looks whether the file is what was asked for: some file systems keep no modes or owners.
pub(super) fn verify(
    file: &Path,
    path: &Path,
    mode: u32,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), BindError> {
    let found = fs::symlink_metadata(file).map_err(|source| BindError::Unix {
        path: path.to_owned(),
        step: "verifying the socket file",
        source,
    })?;
    let found_mode = found.mode() & 0o7777;
    if found_mode == mode
        && uid.is_none_or(|uid| uid == found.uid())
        && gid.is_none_or(|gid| gid == found.gid())
    {
        return Ok(());
    }
    Err(BindError::NotInForce {
        path: path.to_owned(),
        mode: found_mode,
        uid: found.uid(),
        gid: found.gid(),
    })
}

pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

pub(super) fn unix_socket(kind: Type) -> io::Result<Socket> {
    Socket::new(Domain::UNIX, kind.nonblocking().cloexec(), None)
}

#[cfg(test)]
mod tests;
