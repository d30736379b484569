//! Any text as a directive's value: what is accepted is printed and read back the same, the rest is told.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mod_copy::config::Fault;
use mod_copy::config::values::{number, single, size, switch, time, without_password, words};
use mod_copy::status::Format;

fuzz_target!(|text: &str| {
    // httpd's lines hold no NUL.
    let text = text.split('\0').next().unwrap_or_default();
    match time(text) {
        Ok(time) => {
            assert!(time >= Duration::from_millis(1) && time <= Duration::from_secs(86_400));
            assert_eq!(
                mod_copy::config::values::time(&format!("{}ms", time.as_millis())),
                Ok(time)
            );
            assert!(text.as_bytes()[0].is_ascii_digit());
        }
        Err(fault) => told(&fault, text),
    }
    for range in [0..=1 << 30, 64 << 10..=64 << 30] {
        match size(text, range.clone()) {
            Ok(bytes) => {
                assert!(range.contains(&bytes));
                assert_eq!(size(&bytes.to_string(), range), Ok(bytes));
                let (last, digits) = text.as_bytes().split_last().unwrap();
                assert!(digits.iter().all(u8::is_ascii_digit), "{text}");
                assert!(b"0123456789kKmMgG".contains(last), "{text}");
            }
            Err(fault) => told(&fault, text),
        }
    }
    match number(text, 1..=10_000) {
        Ok(number) => assert_eq!(text.trim_start_matches('0'), number.to_string()),
        Err(fault) => told(&fault, text),
    }
    assert_eq!(
        switch(text),
        ["off", "on"].iter().position(|word| text.eq_ignore_ascii_case(word)).map(|at| at == 1)
    );
    let split = words(text);
    assert_eq!(split, as_httpd(text), "httpd splits it otherwise");
    match single(text, "one word") {
        Ok(word) => assert_eq!([word].as_slice(), split.as_slice()),
        Err(fault) => {
            assert!(split.len() != 1 && fault.to_string().starts_with("expected one word, found "))
        }
    }
    // The status page's query is the client's.
    let _ = Format::of_request(text, text).media_type();
});

fn told(fault: &Fault, text: &str) {
    let told = fault.to_string();
    assert!(told.starts_with("expected a "), "{told}");
    let found = match &*without_password(text) {
        "" => "found nothing".to_owned(),
        shown => format!("found '{shown}'"),
    };
    assert!(told.ends_with(&found), "{told}");
}

/// Words as httpd's manual tells: blanks separate; quotes hold a word together; in quotes a backslash takes
/// the quote's meaning away, and everywhere that of another backslash.
fn as_httpd(line: &str) -> Vec<String> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|c| is_blank(*c)).is_some() {}
        let Some(first) = characters.peek().copied() else { return words };
        let quote = characters.next_if(|c| matches!(c, '"' | '\'')).map(|_| first);
        let mut word = String::new();
        while let Some(character) = characters.next_if(|c| quote.is_some() || !is_blank(*c)) {
            let escaped = |next: &char| *next == '\\' || Some(*next) == quote;
            match character {
                '\\' => word.push(characters.next_if(escaped).unwrap_or('\\')),
                c if Some(c) == quote => break,
                c => word.push(c),
            }
        }
        words.push(word);
    }
}
