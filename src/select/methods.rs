//! The methods that a rule lets through.

/// A list of methods, as `methods=GET,HEAD`; RFC 9110 section 9.1: letter case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(Box<[Box<[u8]>]>);

impl Methods {
    /// Reads a list; `None` where it is none of methods (tokens, RFC 9110 section 5.6.2).
    pub fn parse(list: &str) -> Option<Methods> {
        let is_method = |method: &&str| !method.is_empty() && method.bytes().all(is_token);
        let methods: Vec<&str> = list.split(',').collect();
        methods
            .iter()
            .all(is_method)
            .then(|| Methods(methods.into_iter().map(|method| method.as_bytes().into()).collect()))
    }

    /// Whether the method is one of them.
    pub fn has(&self, method: &[u8]) -> bool {
        self.0.iter().any(|known| **known == *method)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_tokens_whose_case_matters() {
        let methods = Methods::parse("GET,M-SEARCH,get!#$%&'*+.^_`|~9").unwrap();
        for (method, has) in [("GET", true), ("M-SEARCH", true), ("get", false), ("GE", false)] {
            assert_eq!(methods.has(method.as_bytes()), has, "{method}");
        }
        for list in ["", ",", "GET,", "GET,,HEAD", "GET HEAD", "GET;", "G\u{e9}T", "\"GET\"", "A=B"]
        {
            assert_eq!(Methods::parse(list), None, "{list}");
        }
    }
}
