//! What is measured: the faults, and two rows that show what a difference means.

use std::time::Duration;

use crate::faulty::{Fault, Length, Then};

/// What is wrong.
#[derive(Clone, Copy)]
pub enum Trouble {
    /// Staging itself, spoken to in the clear.
    Staging(Fault),
    /// What ends TLS before it.
    Handshake,
}

/// One row of the document.
pub struct Case {
    pub name: &'static str,
    /// What is wrong with staging, in words.
    pub about: &'static str,
    pub trouble: Trouble,
}

const fn case(name: &'static str, about: &'static str, fault: Fault) -> Case {
    Case { name, about, trouble: Trouble::Staging(fault) }
}

pub const ALL: [Case; 24] = [
    case("nothing", "nothing (noise: staging that is well against itself)", Fault::None),
    case("dead", "nobody listens", Fault::Dead),
    case("swallows-syn", "its full backlog swallows SYNs", Fault::SwallowSyn),
    case("never-reads", "accepts and never reads", Fault::NeverReads),
    case("never-answers", "reads and never answers", Fault::NeverAnswers),
    case("answers-after-5s", "answers after 5 s", Fault::AnswersAfter(Duration::from_secs(5))),
    case(
        "answers-after-100ms",
        "answers after 100 ms",
        Fault::AnswersAfter(Duration::from_millis(100)),
    ),
    case("drips", "answers at one byte a second", Fault::Drip),
    case("resets-before-head", "resets before its head", Fault::ResetBeforeHead),
    case("resets-within-head", "resets within its head", Fault::ResetWithinHead),
    case("resets-after-head", "resets within its content", Fault::ResetAfterHead),
    case("garbage", "answers with garbage", Fault::Garbage),
    case("huge-head", "1 MB of header", Fault::HugeHead),
    case("endless-body", "an endless body", Fault::EndlessBody),
    case("floods-with-1xx", "a flood of 1xx", Fault::FloodOf1xx),
    case(
        "too-little-content",
        "a Content-Length that is too long",
        Fault::WrongContentLength(Length::TooLong),
    ),
    case(
        "too-much-content",
        "a Content-Length that is too short",
        Fault::WrongContentLength(Length::TooShort),
    ),
    case(
        "closes-kept-connections",
        "closes kept connections after each answer",
        Fault::ClosesKeptConnections,
    ),
    case(
        "closes-when-used-again",
        "closes kept connections when they are used again",
        Fault::ClosesWhenUsedAgain,
    ),
    case(
        "answers-early-then-reads",
        "answers before reading the content, then reads it",
        Fault::AnswersBeforeBody(Then::Reads),
    ),
    case(
        "answers-early-then-closes",
        "answers before reading the content, then closes",
        Fault::AnswersBeforeBody(Then::Closes),
    ),
    case(
        "answers-early-then-hangs",
        "answers before reading the content, then neither reads nor closes",
        Fault::AnswersBeforeBody(Then::Hangs),
    ),
    Case {
        name: "handshake",
        about: "TLS that never finishes its handshake",
        trouble: Trouble::Handshake,
    },
    case("flaps", "dead and well by turns of a second", Fault::Flapping(Duration::from_secs(1))),
];
