//! CNI errors: a code of the specification and a sentence.

/// https://www.cni.dev/docs/spec/#error
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    IncompatibleVersion = 1,
    InvalidEnvironment = 4,
    Io = 5,
    Decode = 6,
    InvalidConfig = 7,
    TryAgainLater = 11,
    NotAvailable = 50,
    /// From 100 on codes are the plugin's own.
    Network = 100,
    NotAsExpected = 101,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u32,
    pub sentence: String,
}

impl Failure {
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code: code as u32,
            sentence: sentence.into(),
        }
    }
}

impl From<weft_netlink::Error> for Failure {
    fn from(error: weft_netlink::Error) -> Self {
        Self::new(Code::Network, error.to_string())
    }
}
