//! Who asks: known to the verbs that leave a trace of it (`why`), without standing in every signature.

use std::future::Future;

use hako_model::evidence::Sender;

/// The process at the other end of the connection a verb was asked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its number on the host.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

tokio::task_local! {
    static CALLER: Option<Caller>;
}

/// Runs a verb on behalf of a caller; none is somebody beyond the network.
pub async fn on_behalf<T>(caller: Option<Caller>, verb: impl Future<Output = T>) -> T {
    CALLER.scope(caller, verb).await
}

/// The caller, as a sender of signals by a verb.
pub(crate) fn sender(verb: &str) -> Option<Sender> {
    let client = match CALLER.try_with(|caller| *caller) {
        Ok(Some(caller)) => describe(caller),
        Ok(None) => "a client on the network".to_owned(),
        Err(_) => "hako itself".to_owned(),
    };
    Some(Sender::Request { verb: verb.to_owned(), client })
}

/// The client is asked for its name while it waits for the answer.
fn describe(caller: Caller) -> String {
    let name = hako_sys::proc::stat(caller.pid).map(|stat| stat.name).unwrap_or_else(|_| "a process".to_owned());
    format!("{name} (pid {}, uid {})", caller.pid, caller.uid)
}
