//! Samples over processes, restarts and processing models.

use twox_hash::XxHash64;

use crate::choose::{Asked, Choice};
use crate::mpm::{Mpm, on_each_mpm};

on_each_mpm!(a_key_falls_on_the_side_that_its_hash_says, a_sample_has_its_share);

/// So the documentation has it: the XXH64 of the key, seed 0, is below the share of 2^64.
fn is_in_sample(key: &str, thousandths: u64) -> bool {
    u128::from(XxHash64::oneshot(0, key.as_bytes())) < (u128::from(thousandths) << 64) / 100_000
}

fn a_key_falls_on_the_side_that_its_hash_says(mpm: Mpm) {
    let lines = "CopyTarget STAGING name=half sample=50% samplekey=\"%{HTTP:X-User-ID}\"\n\
                 CopyTarget STAGING name=part sample=12.5% samplekey=\"%{HTTP:X-User-ID}\"";
    let choice = Choice::with(mpm, lines, |builder| builder);
    let users: Vec<String> = (0..60).map(|number| format!("user-{number}")).collect();
    let fields: Vec<String> = users.iter().map(|user| format!("X-User-ID: {user}\r\n")).collect();
    let requests: Vec<Asked<'_>> =
        fields.iter().map(|field| ("GET", "/a", field.as_str())).collect();
    let expected: Vec<usize> = users
        .iter()
        .map(|user| {
            usize::from(is_in_sample(user, 50_000)) + usize::from(is_in_sample(user, 12_500))
        })
        .collect();
    assert!([0, 1, 2].iter().all(|count| expected.contains(count)), "{expected:?}");
    for restart in [None, Some(false), Some(true)] {
        match restart {
            Some(true) => choice.server.restart(),
            Some(false) => choice.server.graceful(),
            None => {}
        }
        // Each over a connection of its own, and so perhaps in another child.
        for (request, expected) in requests.iter().zip(&expected) {
            assert_eq!(choice.copies_of(&[*request]), [*expected], "{request:?}, {restart:?}");
        }
        assert_eq!(choice.copies_of(&requests), expected, "over one connection");
    }
}

fn a_sample_has_its_share(mpm: Mpm) {
    const REQUESTS: usize = 400;
    let lines = "CopyTarget STAGING name=one sample=50%\nCopyTarget STAGING name=two sample=50%";
    let choice = Choice::with(mpm, lines, |builder| builder);
    let mut copies = Vec::new();
    for _ in 0..REQUESTS / 20 {
        copies.extend(choice.copies_of(&[("GET", "/a", ""); 20]));
    }
    // Each target has half, and half of these are the other's: seven standard deviations are 70.
    let with = |count: usize| copies.iter().filter(|copies| **copies == count).count();
    assert!(with(1).abs_diff(REQUESTS / 2) < 70, "{} of {REQUESTS} once", with(1));
    assert!(with(2).abs_diff(REQUESTS / 4) < 61, "{} of {REQUESTS} twice", with(2));
    let status = choice.server.status();
    for name in ["one", "two"] {
        let target = status.target(name);
        let (selected, sampled) = (target.count("selected"), target.count("not_copied.sampled"));
        assert_eq!(selected + sampled, REQUESTS as u64, "{status}");
        assert!(selected.abs_diff(REQUESTS as u64 / 2) < 70, "{status}");
    }
    status.assert_promise_3();
}

#[test]
fn a_thousandth_of_a_percent_is_a_sample_too() {
    let lines = "CopyTarget STAGING name=few sample=0.001% samplekey=%{HTTP:X-User-ID}";
    let choice = Choice::with(Mpm::Event, lines, |builder| builder);
    let chosen = (0..).map(|number| number.to_string()).find(|key| is_in_sample(key, 1)).unwrap();
    let field = format!("X-User-ID: {chosen}\r\n");
    let copies = choice.copies_of(&[("GET", "/a", &field), ("GET", "/a", "X-User-ID: x\r\n")]);
    assert_eq!(copies, [1, 0], "{chosen}");
}
