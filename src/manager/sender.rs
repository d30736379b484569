//! Whether a change comes from our own page, or from a program that has read it: not from another site's page,
//! which a browser would send along with the operator's password.
//!
//! All of these have to hold, so that a fault in one is not a hole:
//!
//! - The nonce is ours. No other site can read it.
//! - What the browser says of the page that sends it (`Sec-Fetch-Site`, `Origin`, `Referer`) names this server. A
//!   form of which it says nothing is refused; a program that says nothing sends JSON, which no form can.
//! - `Host` is a name of this server, `localhost`, or an address: a name that another site's owner made point
//!   here is none of these.

use std::net::{Ipv4Addr, Ipv6Addr};

use subtle::ConstantTimeEq;

use super::{Form, Refusal};

/// What a request says of where it comes from, as received; empty where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'a> {
    /// `Host`.
    pub host: &'a str,
    /// `Sec-Fetch-Site`.
    pub site: &'a str,
    /// `Origin`.
    pub origin: &'a str,
    /// `Referer`.
    pub referer: &'a str,
}

impl Sender<'_> {
    /// Whether it may change anything; `is_our_name` knows the names of this server.
    pub fn check(
        &self,
        form: Form,
        nonces: [&str; 2],
        is_our_name: impl Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        let refuse = |why: &str| Err(Refusal(403, format!("Nothing was changed: {why}.")));
        let name = host_of(self.host);
        if !is_address(name) && !name.eq_ignore_ascii_case("localhost") && !is_our_name(name) {
            return refuse(
                "the Host field is no name of this server: its ServerName or a ServerAlias",
            );
        }
        if !self.site.is_empty() && !self.site.eq_ignore_ascii_case("same-origin") {
            return refuse("the request comes from another site");
        }
        let says = [self.origin, self.referer].into_iter().find(|field| !field.is_empty());
        match says {
            Some(url) if !self.is_ours(url) => {
                return refuse("the request comes from another site");
            }
            None if self.site.is_empty() && form == Form::Browser => {
                return refuse("the browser does not say where the form comes from");
            }
            _ => {}
        }
        let [shown, ours] = nonces;
        if ours.is_empty() || !bool::from(shown.as_bytes().ct_eq(ours.as_bytes())) {
            return refuse("the nonce is not that of this server; reload the page and try again");
        }
        Ok(())
    }

    /// Whether a URL has this server's authority.
    fn is_ours(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let default = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return false,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let [theirs, ours] =
            [authority, self.host].map(|text| text.strip_suffix(default).unwrap_or(text));
        !ours.is_empty() && theirs.eq_ignore_ascii_case(ours)
    }
}

/// The host of an authority, without its port and brackets.
fn host_of(authority: &str) -> &str {
    if let Some(literal) = authority.strip_prefix('[') {
        return literal.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_address(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok()
}
