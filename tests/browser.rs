//! A real browser without a window, driven as WebDriver says (https://www.w3.org/TR/webdriver2/).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Client};
use crate::httpd::free_port;
use crate::wait::poll;

/// Starting a browser takes long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chromium with one tab, and its driver; both end with it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub width: u32,
    pub is_dark: bool,
}

impl Browser {
    pub fn start() -> Browser {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}: run `make test-deps`"));
        let profile = TempDir::with_prefix("mod_copy-browser-").unwrap();
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        poll(PATIENCE, || client::accepts(port).then_some(()))
            .expect("chromedriver does not start");
        // Without its sandbox, for tests may run as root: it is shown pages of ours alone.
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-proxy-server".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub fn open(&self, url: &str) {
        self.tell("/url", &json!({ "url": url }));
    }

    /// Clicks on the one button with this text, within what this selector finds first.
    pub fn click(&self, within: &str, text: &str) {
        let xpath = format!("({within})[1]//button[normalize-space()='{text}']");
        let found = self.tell("/element", &json!({ "using": "xpath", "value": xpath }));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.tell(&format!("/element/{id}/click"), &json!({}));
    }

    /// Writes into the field of that name, within what this selector finds first, and sends its form.
    pub fn submit(&self, within: &str, field: &str, text: &str) {
        let xpath = format!("({within})[1]//input[@name='{field}']");
        let found = self.tell("/element", &json!({ "using": "xpath", "value": xpath }));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.tell(&format!("/element/{id}/value"), &json!({ "text": format!("{text}\n") }));
    }

    /// What a script that returns something finds in the page; the page's own policy does not bind it.
    pub fn find(&self, script: &str) -> Value {
        self.tell("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The page's text, as it is shown.
    pub fn text(&self) -> String {
        self.find("return document.body.innerText").as_str().unwrap().to_owned()
    }

    /// A picture of the whole page, kept as `target/screenshots/NAME.png`.
    pub fn picture(&self, name: &str, look: Look) -> PathBuf {
        let scheme = if look.is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
        let size = json!({
            "width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": false
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        self.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
        let how = json!({ "captureBeyondViewport": true, "format": "png" });
        let picture = self.devtools("Page.captureScreenshot", &how);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}-{scheme}-{}.png", look.width));
        fs::write(&path, base64(picture["data"].as_str().unwrap())).unwrap();
        path
    }

    /// How much wider than the window the page is, as it was last looked at.
    pub fn overflow(&self) -> i64 {
        let script =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.find(script).as_i64().unwrap()
    }

    /// What the browser had to complain about.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({ "type": "browser" }));
        let messages = log.as_array().unwrap().iter();
        messages.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.tell("/goog/cdp/execute", &body)
    }

    fn tell(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (body, port) = (body.to_string(), self.port);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = Client::patient(port, PATIENCE).exchange(request);
        assert_eq!(response.status, 200, "{method} {path} {body}\n{}", response.text());
        let answer: Value = serde_json::from_slice(&response.content).unwrap();
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; without a session there is none.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &self.session, &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The bytes that a text in base64 means (RFC 4648).
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        (bits, count) = (bits << 6 | u32::try_from(value).unwrap(), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}
