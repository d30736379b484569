//! balancer-manager, as an administrator's browser drives it.

use crate::client::{Client, Response};

/// The manager of one server's balancers.
pub struct Manager {
    port: u16,
    balancer: String,
}

/// What serves it, beside the requests that are copied.
pub const LOCATION: &str = "<Location \"/balancer-manager\">\nSetHandler balancer-manager\nMirrorRequest Off\n\
                            </Location>";

impl Manager {
    pub fn new(port: u16, balancer: &str) -> Manager {
        Manager { port, balancer: balancer.to_owned() }
    }

    /// Changes a member, as `w_status_N=1` drains it.
    pub fn set(&self, member: &str, changes: &str) {
        self.submit(&format!("w={member}&{changes}"));
    }

    /// Changes the balancer, as `b_lbm=bytraffic` its method.
    pub fn set_balancer(&self, changes: &str) {
        self.submit(changes);
    }

    /// Adds a member, and switches it on: it comes switched off.
    pub fn add(&self, member: &str) {
        self.submit(&format!("b_wyes=1&b_nwrkr={member}"));
        self.set(member, "w_status_D=0");
    }

    /// The status of a member as the page has it, as `Init Ok`.
    pub fn status(&self, member: &str) -> String {
        let page = self.get(&format!("?{}&xml=1", self.key())).text();
        let name = format!("<httpd:name>{member}</httpd:name>");
        let worker = page.split("<httpd:worker>").find(|part| part.contains(&name));
        let worker = worker.unwrap_or_else(|| panic!("no {member} in\n{page}"));
        let (_, rest) = worker.split_once("<httpd:status>").unwrap();
        rest.split("</httpd:status>").next().unwrap().trim().to_owned()
    }

    fn submit(&self, changes: &str) {
        let form = format!("{}&{changes}", self.key());
        let answer = self.ask("POST", "", &form);
        assert_eq!(answer.status, 200, "{changes}\n{}", answer.text());
    }

    /// The balancer and its nonce, without which the manager takes nothing.
    fn key(&self) -> String {
        const QUOTES: [char; 2] = ['"', '\''];
        let page = self.get("").text();
        let of_ours = format!("b={}", self.balancer);
        let link = page.split(QUOTES).find(|part| part.contains(&of_ours));
        let link = link.unwrap_or_else(|| panic!("no {of_ours} in\n{page}"));
        let (_, nonce) = link.split_once("nonce=").unwrap();
        format!("{of_ours}&nonce={nonce}")
    }

    fn get(&self, query: &str) -> Response {
        self.ask("GET", query, "")
    }

    fn ask(&self, method: &str, query: &str, form: &str) -> Response {
        Client::connect(self.port).exchange(format!(
            "{method} /balancer-manager{query} HTTP/1.1\r\nHost: www.example.com\r\n\
             Referer: http://www.example.com/balancer-manager\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }
}
