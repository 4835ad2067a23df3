//! The daemon's door: the sockets it serves, and the file of its own that clients look for.

use std::fmt;
use std::path::PathBuf;

use hako_sys::file::Lock;
use tokio_rustls::TlsAcceptor;

use super::options::Options;
use crate::listen::{self, Bound, Listener, SocketFile};
use crate::tls;

/// All sockets of a daemon.
pub(super) struct Sockets {
    bound: Vec<Bound>,
    names: Vec<String>,
    /// Files of sockets that this daemon removes when it leaves.
    files: Vec<SocketFile>,
    /// Held by a client that starts a daemon, and by a daemon that leaves: so neither does while the other is at it.
    start_lock: PathBuf,
    own: PathBuf,
    /// Spoken on every TCP socket, if it is configured.
    tls: Option<TlsAcceptor>,
    group: Option<String>,
}

impl Sockets {
    /// Takes inherited sockets and binds those asked for; without either, hako's own.
    pub(super) fn gather(options: &Options, inherited: Vec<Bound>) -> Result<Self, String> {
        let exec_root = &options.settings.exec_root;
        let own = exec_root.join("hako.sock");
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let mut sockets = Self {
            bound: inherited
                .into_iter()
                .map(|bound| secured(bound, tls.as_ref(), options.plain))
                .collect::<Result<_, _>>()?,
            tls,
            names: Vec::new(),
            files: Vec::new(),
            start_lock: exec_root.join("start.lock"),
            own,
            group: options.group.clone(),
        };
        sockets.name_inherited()?;
        for host in &options.hosts {
            sockets.add(host, options.plain)?;
        }
        if sockets.names.is_empty() {
            sockets.add(&format!("unix://{}", sockets.own.display()), false)?;
        }
        Ok(sockets)
    }

    fn name_inherited(&mut self) -> Result<(), String> {
        for bound in &self.bound {
            let name = match bound {
                Bound::Unix(listener) => listener
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(|path| format!("unix://{}", path.display()))),
                Bound::Tcp(listener, _) => listener.local_addr().ok().map(|address| format!("tcp://{address}")),
            };
            self.names.push(name.unwrap_or_else(|| "an inherited socket".to_owned()));
        }
        let ours = self.names.contains(&format!("unix://{}", self.own.display()));
        if ours && !listen::is_managed() {
            listen::admit_group(&self.own, self.group.as_deref()).map_err(|cause| self.failed(&cause))?;
            let file = SocketFile::find(&self.own).map_err(|cause| self.failed(&cause))?;
            self.files.push(file);
        }
        Ok(())
    }

    fn add(&mut self, host: &str, plain: bool) -> Result<(), String> {
        let bound = match host.split_once("://") {
            Some(("fd", _)) if self.bound.is_empty() => {
                return Err(format!("{host}: no sockets were passed in (LISTEN_FDS)"));
            }
            Some(("fd", _)) => return Ok(()),
            Some(("unix", path)) => self.bind(path)?,
            Some(("tcp", address)) => listen::tcp(address, self.tls.clone(), plain)?,
            _ if host.starts_with('/') => self.bind(host)?,
            _ => return Err(format!("{host}: expected unix://PATH, tcp://ADDRESS:PORT or fd://")),
        };
        self.bound.push(bound);
        self.names.push(host.to_owned());
        Ok(())
    }

    fn bind(&mut self, path: &str) -> Result<Bound, String> {
        let path = if path.is_empty() { self.own.clone() } else { PathBuf::from(path) };
        let failed = |cause: std::io::Error| format!("unix://{}: {cause}", path.display());
        // A socket somebody listens on is not taken away; a stale one is replaced.
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(format!("unix://{}: another daemon is listening there", path.display()));
        }
        let bound = listen::unix(&path, self.group.as_deref()).map_err(failed)?;
        self.files.push(SocketFile::find(&path).map_err(failed)?);
        Ok(bound)
    }

    /// Registers the sockets with the runtime.
    pub(super) fn open(&mut self) -> Result<Vec<Listener>, String> {
        let bound = std::mem::take(&mut self.bound);
        bound.into_iter().map(Bound::open).collect::<Result<_, _>>().map_err(|cause| format!("open sockets: {cause}"))
    }

    /// Removes the files of the sockets, so that clients start the next daemon, who waits for the lock given back.
    /// `None` when the files are the service manager's: then its sockets keep the clients.
    pub(super) fn close_door(&self) -> Result<Option<Lock>, String> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let lock = Lock::exclusive(&self.start_lock).map_err(|cause| cause.to_string())?;
        for file in &self.files {
            file.remove();
        }
        Ok(Some(lock))
    }

    /// Binds the own socket anew after [`Sockets::close_door`].
    pub(super) fn reopen_door(&mut self) -> Result<Listener, String> {
        let path = self.files.first().map_or_else(|| self.own.clone(), |file| file.path().to_owned());
        let failed = |cause: std::io::Error| format!("unix://{}: {cause}", path.display());
        let bound = listen::unix(&path, self.group.as_deref()).map_err(failed)?;
        self.files = vec![SocketFile::find(&path).map_err(failed)?];
        bound.open().map_err(failed)
    }

    fn failed(&self, cause: &std::io::Error) -> String {
        format!("unix://{}: {cause}", self.own.display())
    }
}

/// An inherited TCP socket obeys the same rules as one that is bound here.
fn secured(bound: Bound, tls: Option<&TlsAcceptor>, plain: bool) -> Result<Bound, String> {
    let Bound::Tcp(listener, _) = bound else { return Ok(bound) };
    if tls.is_none() {
        let address = listener.local_addr().map_err(|cause| format!("inherited socket: {cause}"))?;
        listen::check_plain(&format!("tcp://{address}"), address.ip(), plain)?;
    }
    Ok(Bound::Tcp(listener, tls.cloned()))
}

impl fmt::Display for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}
