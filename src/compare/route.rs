//! The route of a request: its method and its path, with what tells one resource from another folded.

use std::fmt;

use super::difference::cut;
use super::fold;

/// The longest route, in bytes; a longer one is cut and ends in `…`.
pub const ROUTE_BYTES: usize = 128;
/// The most segments that are kept apart.
const SEGMENTS: usize = 12;

/// `GET /users/{n}/orders/{hex}`: what requests to the same piece of an application have in common.
///
/// The query and parameters of segments are dropped: they carry values, and secrets. Segments are folded as
/// names in paths are: digits `{n}`, hexadecimal numbers `{hex}`, `{uuid}`, `{date}`, `{email}`, tokens `{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route(String);

impl Route {
    /// The route of a request with this method and request target, whatever its form.
    pub fn of(method: &[u8], target: &[u8]) -> Route {
        let mut route = printable(method.get(..ROUTE_BYTES).unwrap_or(method));
        route.push(' ');
        // What is beyond can hardly be seen in the route, however it is folded.
        let path = printable(target.get(..ROUTE_BYTES * 8).unwrap_or(target));
        let path = path_of(&path);
        let Some(segments) = path.strip_prefix('/') else {
            route.push_str(path);
            return Route(cut(route, ROUTE_BYTES));
        };
        for (index, segment) in segments.split('/').enumerate() {
            if index == SEGMENTS {
                route.push_str("/…");
                break;
            }
            route.push('/');
            route.push_str(&fold::name(segment.split(';').next().unwrap_or_default()));
        }
        Route(cut(route, ROUTE_BYTES))
    }

    /// A route as it was written by [`Route::as_str`].
    pub(super) fn written(text: &str) -> Route {
        Route(cut(text.to_owned(), ROUTE_BYTES))
    }

    /// The route's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a request target in origin or absolute form; `*` and an authority are their own.
fn path_of(target: &str) -> &str {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    }
}

fn printable(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '_' };
    bytes.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_the_same_piece_of_an_application_have_the_same_route() {
        for (target, route) in [
            ("/users/42/orders/8f14e45f", "GET /users/{n}/orders/{hex}"),
            ("/users/7/orders/0cc175b9?page=2", "GET /users/{n}/orders/{hex}"),
            ("/", "GET /"),
            ("*", "GET *"),
            ("//a//", "GET //a//"),
            ("http://www.example.com/a/1", "GET /a/{n}"),
            ("http://www.example.com", "GET /"),
            ("/r?to=http://x/", "GET /r"),
            ("/cart;jsessionid=0F3A/items", "GET /cart/items"),
            ("/2026-05-20/x", "GET /{date}/x"),
            ("/a b\u{fc}", "GET /a_b__"),
        ] {
            assert_eq!(Route::of(b"GET", target.as_bytes()).as_str(), route, "{target}");
        }
    }

    #[test]
    fn a_route_is_bounded() {
        let long = Route::of(b"GET", "/abc".repeat(1000).as_bytes());
        assert_eq!(long.as_str(), format!("GET {}/…", "/abc".repeat(SEGMENTS)));
        let wide = Route::of(&[b'X'; 1000], b"/");
        assert!(wide.as_str().len() <= ROUTE_BYTES && wide.as_str().ends_with('…'));
    }
}
