//! Any request target and field lines: a session's route lies in them, behind the separator, and ends where it should.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_copy::balancer::{Request, Sticky};

fuzz_target!(|input: (&[u8], &[u8], &[u8], u8, bool)| {
    let (name, target, fields, separator, semicolons) = input;
    // mod_proxy keeps no name that is empty.
    if name.is_empty() {
        return;
    }
    let sticky = Sticky { cookie: name.to_vec(), parameter: name.to_vec(), separator, semicolons };
    let Some(route) = sticky.route(Request { target, fields }) else { return };
    assert!(!route.is_empty());
    let lies_in = |text: &[u8]| text.windows(route.len()).any(|window| window == route);
    let in_target = lies_in(target)
        && !route.iter().any(|byte| matches!(byte, b'?' | b'&') || (semicolons && *byte == b';'));
    let in_fields =
        lies_in(fields) && !route.iter().any(|byte| matches!(byte, b';' | b',' | b'\n'));
    assert!(in_target || in_fields, "{route:?}");
});
