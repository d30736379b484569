//! What became of a request: the one outcome of each copy, or why no copy was made.

/// The single outcome of one selected copy (promise 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Staging read the request and answered it; whatever the status, the copy did its work.
    Delivered(StatusClass),
    /// The exchange began and did not end in an answer.
    Failed(Failure),
    /// The copy was given up: unsent, or, where the child ended over it, without its answer.
    Dropped(Loss),
}

/// The class of a final status code (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 200 to 299.
    Successful,
    /// 300 to 399; redirects are counted, never followed.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
}

impl StatusClass {
    /// The class of a final status code; `None` for what is no final answer (1xx, 600 and above).
    pub fn of(status: u16) -> Option<StatusClass> {
        match status {
            200..=299 => Some(StatusClass::Successful),
            300..=399 => Some(StatusClass::Redirection),
            400..=499 => Some(StatusClass::ClientError),
            500..=599 => Some(StatusClass::ServerError),
            _ => None,
        }
    }
}

/// Why an exchange with staging brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection: unreachable, or not made within the connect timeout.
    Connect,
    /// Staging's port refused the connection.
    Refused,
    /// The exchange did not end before its deadline.
    Timeout,
    /// Staging closed or reset the connection before its answer was complete.
    Reset,
    /// What staging sent is not an answer in the HTTP that it is spoken to in.
    Protocol,
    /// The target's name does not resolve.
    Dns,
    /// A fault of this module, caught at its boundary.
    Internal,
    /// TLS with staging failed: its certificate does not prove what it should, or it refused ours.
    Tls,
    /// The target's proxy is not there, does not let us through, or fails.
    Proxy,
}

impl Failure {
    /// Every reason, in the order of the counters.
    pub const ALL: [Failure; 9] = [
        Failure::Connect,
        Failure::Refused,
        Failure::Timeout,
        Failure::Reset,
        Failure::Protocol,
        Failure::Dns,
        Failure::Internal,
        Failure::Tls,
        Failure::Proxy,
    ];

    /// The reason as the error log and the status page spell it.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Refused => "refused",
            Failure::Timeout => "timeout",
            Failure::Reset => "reset",
            Failure::Protocol => "protocol",
            Failure::Dns => "dns",
            Failure::Internal => "internal",
            Failure::Tls => "tls",
            Failure::Proxy => "proxy",
        }
    }
}

/// Why a selected copy was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The target's queue held `queue=` copies already.
    QueueFull,
    /// The copy would have taken this child past `CopyMemory`.
    Memory,
    /// The target's breaker was open: staging had failed `failures=` times in a row.
    Breaker,
    /// The target had its `rate=` of copies already.
    Rate,
    /// All members of the target's balancer were out.
    NoMember,
    /// A mask of the target's could not be applied to it: it would have shown what it must not.
    Unmaskable,
    /// The target was switched off while the copy waited.
    Off,
    /// The child ended before the copy was sent and answered.
    Stopping,
    /// The child died (was killed, or crashed) with the copy in hand.
    Lost,
}

impl Loss {
    /// Every reason, in the order of the counters.
    pub const ALL: [Loss; 9] = [
        Loss::QueueFull,
        Loss::Memory,
        Loss::Breaker,
        Loss::Rate,
        Loss::NoMember,
        Loss::Unmaskable,
        Loss::Off,
        Loss::Stopping,
        Loss::Lost,
    ];

    /// The reason as the error log and the status page spell it.
    pub fn name(self) -> &'static str {
        match self {
            Loss::QueueFull => "queue full",
            Loss::Memory => "memory",
            Loss::Breaker => "breaker",
            Loss::Rate => "rate",
            Loss::NoMember => "no member",
            Loss::Unmaskable => "unmaskable",
            Loss::Off => "off",
            Loss::Stopping => "stopping",
            Loss::Lost => "lost",
        }
    }
}

/// Why a request in a target's scope was not copied at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotCopied {
    /// Access control refused it (401, 403, 407).
    Refused,
    /// Its content was never read to its end.
    Incomplete,
    /// Its content is larger than `CopyBodyLimit`.
    TooLarge,
    /// Not a request one can copy: `CONNECT`, `TRACE`, an upgrade, a push, our own handler.
    NotCopyable,
    /// It is a copy of our own that came back.
    Loop,
    /// `MirrorRequest Off`, or the target is switched off.
    Off,
    /// Its method is not one of `methods=`.
    Method,
    /// It has content, under `body=off`.
    Body,
    /// It is not in the `sample=`.
    Sampled,
    /// It does not meet `env=` or `expr=`.
    Condition,
}

impl NotCopied {
    /// The reason as the status page spells it.
    pub fn name(self) -> &'static str {
        match self {
            NotCopied::Refused => "refused",
            NotCopied::Incomplete => "incomplete",
            NotCopied::TooLarge => "too large",
            NotCopied::NotCopyable => "not copyable",
            NotCopied::Loop => "loop",
            NotCopied::Off => "off",
            NotCopied::Method => "method",
            NotCopied::Body => "body",
            NotCopied::Sampled => "sampled",
            NotCopied::Condition => "condition",
        }
    }
}

/// Why a request brings forth no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It is not copied, and never was to be.
    NotCopied(NotCopied),
    /// It would be copied, but is dropped before the hand-over.
    Dropped(Loss),
}
