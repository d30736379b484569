//! Requests and responses as the tests write and compare them.

use http::{HeaderName, HeaderValue, Method, Uri};

/// A request, its pseudo-fields apart.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in small letters, as HTTP/2 has them.
    pub fields: Vec<(String, Vec<u8>)>,
    pub content: Option<Vec<u8>>,
    /// Sent after the content.
    pub trailers: Vec<(String, String)>,
}

/// A response, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// In the order received.
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl Request {
    /// A request without content.
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            content: None,
            trailers: Vec::new(),
        }
    }

    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With content whose length is not told before.
    pub fn content(mut self, content: impl AsRef<[u8]>) -> Request {
        self.content = Some(content.as_ref().to_vec());
        self
    }

    /// With content whose length is told.
    pub fn sized(self, content: impl AsRef<[u8]>) -> Request {
        let length = content.as_ref().len().to_string();
        self.field("content-length", length).content(content)
    }

    pub fn trailer(mut self, name: &str, value: &str) -> Request {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn build(&self, scheme: &str) -> http::Request<()> {
        let uri = Uri::builder().scheme(scheme).authority("www.example.com");
        let uri = uri.path_and_query(self.target.as_str()).build().unwrap();
        let mut request = http::Request::new(());
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).unwrap();
        *request.uri_mut() = uri;
        for (name, value) in &self.fields {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value);
        }
        request
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The response less what differs from one second, or one httpd, to the next.
    pub fn comparable(mut self) -> Response {
        self.fields.retain(|(name, _)| name != "date");
        for (_, value) in self.fields.iter_mut().filter(|(name, _)| name == "allow") {
            // In the order of a hash whose seed is the process's own.
            let mut methods: Vec<&str> = value.split(',').collect();
            methods.sort_unstable();
            *value = methods.join(",");
        }
        self
    }
}
