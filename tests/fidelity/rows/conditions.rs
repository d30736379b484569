//! Rules look at a request, and its answer does not tell that they did.
//!
//! httpd answers with a file: what an expression adds to an answer, mod_proxy's answer would do away with.

use crate::fidelity::row::{Request, Row};

const GROUP: &str = "Conditions";
/// As an expression does that is not told otherwise.
const NO_VARY: &str = "the answer has no `Vary` for the fields that were looked at";

pub fn rows() -> Vec<Row> {
    let asks = |name: &str, request: Request| Row::asks(GROUP, name, request);
    let three = |tenant: &str, path: &str| {
        let request = Request::get(path).with("X-Tenant", tenant);
        request.with("Accept-Language", "de").with("Cookie", "plan=pro")
    };
    let keyed = |key: &str| Request::get("/conditions/key").with("X-Key", key);
    vec![
        asks("`expr=` on three fields, met", three("a", "/conditions/expr")).note(NO_VARY),
        asks("`expr=` on three fields, not met", three("b", "/conditions/expr"))
            .not_copied("condition")
            .note(NO_VARY),
        asks("`expr=` on fields that are not there", Request::get("/conditions/expr"))
            .not_copied("condition")
            .note(NO_VARY),
        asks(
            "`expr=`, met, with content",
            Request { method: b"POST".to_vec(), ..three("a", "/conditions/expr").content("hello") },
        )
        .note(NO_VARY),
        asks("`samplekey=` on a field, in the sample", keyed("3")).note(NO_VARY),
        asks("`samplekey=` on a field, not in the sample", keyed("1"))
            .not_copied("sampled")
            .note(NO_VARY),
        asks("`env=`, set", Request::get("/conditions/env").with("X-Tenant", "a")),
        asks("`env=`, not set", Request::get("/conditions/env")).not_copied("condition"),
        asks("`env=!`, set", Request::get("/conditions/not-env").with("X-Tenant", "a"))
            .not_copied("condition"),
        asks("`env=!`, not set", Request::get("/conditions/not-env")),
        asks("one of `methods=`", Request::get("/conditions/reading")),
        asks("none of `methods=`", Request::new("OPTIONS", "/conditions/reading"))
            .not_copied("method"),
        asks("content under `body=off`", Request::get("/conditions/reading").content("hello"))
            .not_copied("body"),
    ]
}
