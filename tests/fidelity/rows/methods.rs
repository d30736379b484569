//! Methods stay what they are.

use crate::fidelity::row::{Request, Row};

const GROUP: &str = "Methods";

pub fn rows() -> Vec<Row> {
    let plain = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "PROPFIND",
        "PURGE",
        "FROBNICATE",
        "get",
        "M-SEARCH",
    ];
    let token = "!#$%&'*+-.^_`|~";
    let plain = plain.map(|method| Row::asks(GROUP, method, Request::new(method, "/proxy/x")));
    let marks =
        Row::asks(GROUP, "every mark that a method may have", Request::new(token, "/proxy/x"));
    let with_content = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FROBNICATE"];
    let with_content = with_content.map(|method| {
        let request = Request::new(method, "/proxy/x").content("{\"query\":1}");
        Row::asks(GROUP, format!("{method} with content"), request)
    });
    plain.into_iter().chain([marks]).chain(with_content).collect()
}
