//! A container's environment, as Docker makes it.

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's variables, then the container's, the last word on each name winning in place; a name without a value is
/// taken out.
pub(crate) fn of(own: &[String], hostname: &str, terminal: bool, home: &str) -> Vec<String> {
    let mut base = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if terminal {
        base.push("TERM=xterm".to_owned());
    }
    let mut merged = add(base, own);
    if !merged.iter().any(|pair| pair.starts_with("HOME=")) {
        merged.push(format!("HOME={home}"));
    }
    merged
}

/// Replaces, appends or (without `=`) removes variables.
pub(crate) fn add(mut base: Vec<String>, more: &[String]) -> Vec<String> {
    for pair in more {
        let name = pair.split('=').next().unwrap_or_default();
        let at = base.iter().position(|old| old.split('=').next() == Some(name));
        match (at, pair.contains('=')) {
            (Some(at), true) => base[at].clone_from(pair),
            (Some(at), false) => drop(base.remove(at)),
            (None, true) => base.push(pair.clone()),
            (None, false) => {}
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment() {
        let own: Vec<String> = ["PATH=/bin", "A=1", "HOSTNAME", "A=2"].map(str::to_owned).into();
        assert_eq!(of(&own, "h", true, "/root"), ["PATH=/bin", "TERM=xterm", "A=2", "HOME=/root"]);
        assert_eq!(of(&[], "h", false, "/")[1], "HOSTNAME=h");
    }
}
