//! What staging may not see is taken out of a copy before it is sent: here, and not on the request path.

use std::sync::Arc;

use crate::mask::{Masks, Unmaskable};
use crate::outcome::Loss;
use crate::queue::Held;

/// Why a copy is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// It would have shown what it must not.
    Unmaskable(Unmaskable),
    /// `CopyMemory` does not bear what masking takes.
    Memory,
    /// A fault of this module: what was masked by then, nobody knows.
    Fault,
}

impl Unsent {
    /// Why, as the error log tells it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Unsent::Unmaskable(unmaskable) => unmaskable.reason(),
            Unsent::Memory => "masking it takes more than CopyMemory has left",
            Unsent::Fault => "a fault of mod_copy was caught",
        }
    }

    /// What is counted.
    pub(super) fn loss(self) -> Loss {
        match self {
            Unsent::Unmaskable(_) | Unsent::Fault => Loss::Unmaskable,
            Unsent::Memory => Loss::Memory,
        }
    }
}

/// The copy as staging may see it.
pub(super) fn scrub(message: Held, masks: &Masks) -> Result<Held, Unsent> {
    let length: usize = message.content_pieces().map(<[u8]>::len).sum();
    // Content that is encoded comes to more than the rest may be masked to; which it is shows when it is tried.
    let limits = [length.saturating_mul(2), length.saturating_mul(16).max(1 << 20)];
    let (mut result, mut lease) = (Err(Unsent::Memory), None);
    for limit in limits.map(|limit| limit.saturating_add(4 << 10)) {
        // Its pieces joined, and what decoding, masking and encoding come to.
        let most = length.saturating_add(limit.saturating_mul(3));
        // The one before goes first.
        drop(lease.take());
        lease = Some(message.budget().lease(most).ok_or(Unsent::Memory)?);
        result = masks
            .apply(&message.shared_head(), message.content_pieces(), limit)
            .map_err(Unsent::Unmaskable);
        if result != Err(Unsent::Unmaskable(Unmaskable::TooLarge)) {
            break;
        }
    }
    let masked = result?;
    let message = match message {
        Held::Alone(message) => Arc::new(message),
        Held::Shared(message) => message,
    };
    let rewritten = message.rewritten(&masked.head, masked.content.as_deref());
    // What masking came to is held until it is copied.
    drop((masked, lease));
    rewritten.map(Held::Alone).ok_or(Unsent::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::testing::message_of;
    use crate::mask::{Key, Rule};
    use crate::memory::Budget;
    use crate::message::Message;
    use crate::target::{Aim, Url};

    fn masks(words: &[&str]) -> Masks {
        Masks::of(&Rule::parse(words).unwrap(), Key::of(b"a key"))
    }

    fn budget(bytes: usize) -> &'static Budget {
        Box::leak(Box::new(Budget::new(bytes)))
    }

    fn sent(message: &Message) -> String {
        let url = Url::parse("http://staging/v1").unwrap();
        let aim = Aim::at(url);
        let bytes = message.parts(&aim).collect::<Vec<_>>().concat();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_masked_goes_to_any_url_as_it_would_have_gone() {
        let budget = budget(1 << 20);
        for (content, shared) in
            [(None, false), (Some(&b"hello"[..]), false), (Some(&[b'x'; 50_000]), true)]
        {
            let [plain, message] = [(); 2].map(|()| message_of("POST", content, budget));
            let held = match shared {
                false => Held::Alone(message),
                true => Held::Shared(Arc::new(message)),
            };
            let scrubbed = scrub(held, &masks(&["header", "User-Agent", "fixed:none"])).unwrap();
            assert_eq!(
                sent(&scrubbed),
                sent(&plain).replace("uSER-aGENT: test", "uSER-aGENT: none")
            );
            drop((plain, scrubbed));
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn masked_content_has_its_own_length() {
        let message = message_of("POST", Some(br#"{"password":"secret"}"#), budget(1 << 20));
        let scrubbed = scrub(Held::Alone(message), &masks(&["json", "password"])).unwrap();
        let sent = sent(&scrubbed);
        assert!(sent.ends_with("\r\n\r\n{\"password\":\"***\"}"), "{sent}");
        assert!(sent.contains("\r\nContent-Length: 18\r\n"), "{sent}");
        assert_eq!(sent.matches("Content-Length").count(), 1, "{sent}");
    }

    #[test]
    fn where_memory_does_not_bear_it_the_copy_is_lost_and_the_memory_given_back() {
        let budget = budget(100_000);
        let content = format!(r#"{{"password":"{}"}}"#, "x".repeat(60_000));
        let message = message_of("POST", Some(content.as_bytes()), budget);
        let lost = scrub(Held::Alone(message), &masks(&["json", "password"])).unwrap_err();
        assert_eq!((lost, lost.loss(), budget.used()), (Unsent::Memory, Loss::Memory, 0));
    }

    #[test]
    fn what_cannot_be_masked_is_not_sent() {
        let message = message_of("POST", Some(b"{\"password\":"), budget(1 << 20));
        let lost = scrub(Held::Alone(message), &masks(&["json", "password"])).unwrap_err();
        assert_eq!((lost, lost.loss()), (Unsent::Unmaskable(Unmaskable::Json), Loss::Unmaskable));
    }
}
