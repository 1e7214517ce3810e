//! How a command ends: done, "the answer is no", or a failure with one line and a next step.

use std::fmt;

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// What a command that ran to its end has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; exit code 0.
    Done,
    /// It was asked, and the answer is no; exit code 1.
    No,
}

/// Why a command could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The answer is no: refused, not found, not reachable. Exit code 1.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The command was not understood or lacks something. Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The process exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever a library put into its message.
        let mut lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or("failed without a message"))?;
        lines.try_for_each(|line| write!(f, "; {line}"))
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let message = status.message();
        match status.code() {
            tonic::Code::InvalidArgument => Self::usage(message),
            tonic::Code::Unauthenticated => Self::no(format!(
                "the control plane does not accept this token: {message}; get a new one and run `writ login`"
            )),
            tonic::Code::Unavailable => Self::no(format!(
                "the control plane cannot be reached: {}; check WRIT_CONTROL_PLANE and that it runs",
                chain(&status)
            )),
            _ if message.is_empty() => {
                Self::no(format!("the control plane answered {}", status.code()))
            }
            _ => Self::no(message),
        }
    }
}

/// An error with its causes in one line, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// A failure to do something with a file.
pub(crate) fn file(path: &std::path::Path, error: impl fmt::Display) -> Failure {
    Failure::no(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(Failure::no("a\n  b\n\n").to_string(), "a; b");
        assert_eq!(Failure::no("").to_string(), "failed without a message");
    }

    #[test]
    fn the_exit_code_tells_usage_from_no() {
        assert_eq!(Failure::from(tonic::Status::invalid_argument("x")).code(), 2);
        assert_eq!(Failure::from(tonic::Status::permission_denied("x")).code(), 1);
        assert_eq!(Failure::from(tonic::Status::not_found("x")).code(), 1);
    }
}
