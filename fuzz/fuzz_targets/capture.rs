//! Content in any parts and order: whole or given up, for the right reason, within its limit and the budget.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mod_copy::capture::Capture;
use mod_copy::memory::Budget;
use mod_copy::outcome::{GivenUp, Loss, NotCopied};

#[derive(Arbitrary, Debug)]
enum Part {
    Bytes(u16, u8),
    Skipped(u64),
    LimitTo(u16),
    Broken,
    End,
}

const ALLOWED: usize = 48 * 1024;

fuzz_target!(|play: (u16, Option<u16>, Option<u8>, Vec<Part>)| {
    static BUDGET: Budget = Budget::new(ALLOWED);
    let (limit, declared, head, parts) = play;
    let declared = declared.map(u64::from);
    let mut limit = usize::from(limit);
    let mut capture = Capture::new(limit, &BUDGET);
    let mut head = head.map(|length| {
        let mut head = BUDGET.buffer(0).unwrap();
        assert!(head.append(&vec![b'h'; length.into()]));
        head
    });
    let (start, of_head) = (head.as_ref().map_or(0, |head| head.len()), BUDGET.used());
    let mut passed: Vec<u8> = Vec::new();
    let (mut ended, mut given_up) = (false, None);
    // Whether anything lies in segments.
    let mut begun = false;
    for part in parts {
        assert_eq!(capture.wants_bytes(), given_up.is_none());
        match part {
            Part::Bytes(length, byte) => {
                let bytes = vec![byte; length.into()];
                let (before, left) =
                    (head.as_ref().map(|head| head.len()), ALLOWED - BUDGET.used());
                capture.take(&bytes, head.as_mut(), declared);
                if !ended && given_up.is_none() {
                    passed.extend(&bytes);
                    let is_behind = head.as_ref().map(|head| head.len()) != before;
                    let announces = |more_than| declared.is_some_and(|all| all > more_than as u64);
                    if !begun && !is_behind && !bytes.is_empty() && passed.len() <= limit {
                        if announces(limit) {
                            given_up = Some(GivenUp::NotCopied(NotCopied::TooLarge));
                        } else if announces(left) {
                            given_up = Some(GivenUp::Dropped(Loss::Memory));
                        }
                        begun = given_up.is_none();
                    }
                }
            }
            // Only what is not wanted is skipped.
            Part::Skipped(length) if given_up.is_some() => capture.skip(length),
            Part::Skipped(_) => {}
            Part::LimitTo(lower) => {
                limit = limit.min(lower.into());
                capture.limit_to(limit);
            }
            Part::Broken => {
                capture.break_off();
                if !ended && given_up.is_none() {
                    given_up = Some(GivenUp::NotCopied(NotCopied::Incomplete));
                }
            }
            Part::End => {
                capture.end();
                ended = true;
            }
        }
        if given_up.is_none() && passed.len() > limit {
            given_up = Some(GivenUp::NotCopied(NotCopied::TooLarge));
        }
        if given_up.is_none() && !capture.wants_bytes() {
            assert!(passed.len() > ALLOWED / 4, "the budget bears {} bytes", passed.len());
            given_up = Some(GivenUp::Dropped(Loss::Memory));
        }
        assert!(BUDGET.used() <= ALLOWED && (given_up.is_none() || BUDGET.used() == of_head));
        assert_eq!(capture.is_settled(), ended || given_up.is_some());
    }
    let whole = ended && declared.is_none_or(|declared| declared == passed.len() as u64);
    match (capture.finish(declared), given_up) {
        (Ok(content), None) => {
            let behind = head.as_ref().map_or(&b""[..], |head| &head[start..]);
            let kept = [behind, &content.iter().collect::<Vec<_>>().concat()].concat();
            assert!(whole && kept == passed);
        }
        (Err(reason), Some(expected)) => assert_eq!(reason, expected),
        (Err(reason), None) => {
            assert!(!whole && reason == GivenUp::NotCopied(NotCopied::Incomplete))
        }
        (Ok(_), Some(reason)) => panic!("whole in spite of {reason:?}"),
    }
    // What is not whole is held until nobody asks any more.
    drop((head, capture));
    assert_eq!(BUDGET.used(), 0);
});
