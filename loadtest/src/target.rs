//! What is measured: an endpoint and, for a proxy, the process whose CPU time counts.

/// One endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pid: Option<u32>,
}

/// Reads `NAME=URL` or `NAME=URL,PID`.
pub(crate) fn parse(text: &str) -> Result<Target, String> {
    let (name, rest) = text.split_once('=').ok_or("write NAME=URL or NAME=URL,PID".to_owned())?;
    let (url, pid) = match rest.rsplit_once(',') {
        Some((url, pid)) => {
            let pid = pid.parse().map_err(|_| format!("`{pid}` is not a process id"))?;
            (url, Some(pid))
        }
        None => (rest, None),
    };
    Ok(Target { name: name.to_owned(), url: url.to_owned(), pid })
}
