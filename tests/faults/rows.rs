//! The table: each fault, with what is sent meanwhile.

use std::time::Duration;

use super::row::{Asks, LARGE, Row};
use super::staging::{Fault, Length, Then};
use crate::mpm::Mpm;

/// The rows that are played under this processing model.
pub fn under(mpm: Mpm) -> Vec<Row> {
    ROWS.into_iter().filter(|row| mpm == Mpm::Event || row.everywhere).collect()
}

/// The rows that come out the same whichever connection carries which copy.
pub fn for_several_at_once() -> Vec<Row> {
    ROWS.into_iter().filter(|row| row.outcomes.len() == 1).collect()
}

const ROWS: [Row; 25] = [
    Row::failed(
        "dead",
        Fault::Dead,
        &[("failed.refused", 3)],
        "CPY0102: refused: connect to ADDRESS: Connection refused (os error 111)",
    )
    .everywhere(),
    Row::failed(
        "swallows-syn",
        Fault::SwallowSyn,
        &[("failed.connect", 3)],
        "CPY0101: connect: connect to ADDRESS: connection timed out",
    )
    .with_keys("timeout=20s connectiontimeout=300ms"),
    Row::failed(
        "never-reads",
        Fault::NeverReads,
        &[("failed.timeout", 3)],
        "CPY0103: timeout: read the answer's head: not done within 4s",
    )
    .impatient(),
    Row::failed(
        "never-reads-what-is-large",
        Fault::NeverReads,
        &[("failed.timeout", 3)],
        "CPY0103: timeout: write the request: not done within 8s",
    )
    .somewhat_impatient()
    .asking(LARGE)
    .everywhere(),
    Row::failed(
        "never-answers",
        Fault::NeverAnswers,
        &[("failed.timeout", 3)],
        "CPY0103: timeout: read the answer's head: not done within 4s",
    )
    .impatient()
    .asking(Asks::Post(1000))
    .everywhere(),
    Row::failed(
        "answers-too-late",
        Fault::AnswersAfter(Duration::from_secs(5)),
        &[("failed.timeout", 3)],
        "CPY0103: timeout: read the answer's head: not done within 4s",
    )
    .impatient(),
    Row::delivered("answers-late", Fault::AnswersAfter(Duration::from_millis(300))),
    Row::failed(
        "drips",
        Fault::Drip,
        &[("failed.timeout", 3)],
        "CPY0103: timeout: read the answer's head: not done within 4s",
    )
    .impatient(),
    Row::failed(
        "resets-before-head",
        Fault::ResetBeforeHead,
        &[("failed.reset", 3)],
        "CPY0104: reset: read the answer's head: Connection reset by peer (os error 104)",
    ),
    Row::failed(
        "resets-a-post",
        Fault::ResetBeforeHead,
        &[("failed.reset", 3)],
        "CPY0104: reset: read the answer's head: Connection reset by peer (os error 104)",
    )
    .asking(Asks::Post(1000)),
    Row::failed(
        "resets-within-head",
        Fault::ResetWithinHead,
        &[("failed.reset", 3)],
        "CPY0104: reset: read the answer's head: Connection reset by peer (os error 104)",
    ),
    Row::failed(
        "resets-after-head",
        Fault::ResetAfterHead,
        &[("failed.reset", 3)],
        "CPY0104: reset: read the answer's content: Connection reset by peer (os error 104)",
    )
    .everywhere(),
    Row::failed(
        "garbage",
        Fault::Garbage,
        &[("failed.protocol", 3)],
        "CPY0105: protocol: read the answer: not a status line of HTTP/1.1",
    ),
    Row::failed(
        "huge-head",
        Fault::HugeHead,
        &[("failed.protocol", 3)],
        "CPY0105: protocol: read the answer: a head of more than 64 KiB",
    ),
    Row::failed(
        "floods-with-1xx",
        Fault::FloodOf1xx,
        &[("failed.protocol", 3)],
        "CPY0105: protocol: read the answer: more than 16 interim answers",
    )
    .everywhere(),
    // The first megabyte is answer enough.
    Row::delivered("endless-body", Fault::EndlessBody).everywhere(),
    Row::failed(
        "content-shorter-than-announced",
        Fault::WrongContentLength(Length::TooLong),
        &[("failed.timeout", 3)],
        "CPY0103: timeout: read the answer's content: not done within 4s",
    )
    .impatient(),
    // What follows the answer is nobody's, and the connection is not used again.
    Row::delivered("content-longer-than-announced", Fault::WrongContentLength(Length::TooShort)),
    Row::delivered("closes-kept-connections", Fault::ClosesKeptConnections),
    // A GET is sent again over a new connection; a POST may have been read, and is not.
    Row::delivered("closes-when-used-again", Fault::ClosesWhenUsedAgain),
    Row::failed(
        "closes-when-a-post-uses-it-again",
        Fault::ClosesWhenUsedAgain,
        &[("delivered.2xx", 1), ("failed.reset", 2)],
        "CPY0104: reset: read the answer's head: closed by staging",
    )
    .asking(Asks::Post(1000)),
    Row::delivered("answers-early-then-reads", Fault::AnswersBeforeBody(Then::Reads)).asking(LARGE),
    // It has answered, and did not want the rest.
    Row::delivered("answers-early-then-closes", Fault::AnswersBeforeBody(Then::Closes))
        .asking(LARGE),
    Row::failed(
        "answers-early-then-hangs",
        Fault::AnswersBeforeBody(Then::Hangs),
        &[("failed.timeout", 3)],
        "CPY0103: timeout: write the request: not done within 8s",
    )
    .somewhat_impatient()
    .asking(LARGE),
    // Small content has been sent before anybody could know; the next copy over that connection hangs.
    Row::failed(
        "answers-early-then-hangs-at-the-next",
        Fault::AnswersBeforeBody(Then::Hangs),
        &[("delivered.2xx", 2), ("failed.timeout", 1)],
        "CPY0103: timeout: read the answer's head: not done within 4s",
    )
    .impatient()
    .asking(Asks::Post(1000)),
];
