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
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::forward::testing::message_of;
    use crate::mask::{Key, Rule};
    use crate::memory::{Budget, wipe};
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

    /// What is looked for, each byte less by one: so it is in memory only where it is meant to be.
    const HIDDEN: &[u8] = b"sghr u`ktd hr enq mnancx'r dxdr nmkx";

    /// How often [`HIDDEN`] lies in this process's memory, but for mappings that are too large to be ours.
    fn found_in_memory() -> usize {
        let memory = File::open("/proc/self/mem").unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let writable = maps.lines().filter(|line| line.contains(" rw"));
        let ranges = writable.map(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            [from, to].map(|at| u64::from_str_radix(at, 16).unwrap())
        });
        let found = ranges.filter(|[from, to]| to - from < 1 << 28).map(|[from, to]| {
            let mut mapped = vec![0; (to - from) as usize];
            // The stack of a thread that ended meanwhile is no longer there.
            let is_there = memory.read_exact_at(&mut mapped, from).is_ok();
            mapped.iter_mut().for_each(|byte| *byte = byte.wrapping_sub(1));
            let found = memchr::memmem::find_iter(&mapped, HIDDEN).count();
            wipe(&mut mapped);
            if is_there { found } else { 0 }
        });
        found.sum()
    }

    #[test]
    #[cfg_attr(miri, ignore = "what Miri has for memory is not the process's")]
    fn what_was_masked_is_nowhere_in_memory_once_the_copy_is_gone() {
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(1 << 20).wiping(true)));
        for filling in [10, 40_000] {
            let mut content = Vec::with_capacity(100_000);
            for _ in 0..2 {
                content.extend_from_slice(br#"{"password":""#);
                content.extend(HIDDEN.iter().map(|byte| byte + 1));
                content.extend_from_slice(br#"","rest":""#);
                content.resize(content.len() + filling, b'x');
                content.extend_from_slice(b"\"}");
            }
            content.insert(0, b'[');
            content.insert(content.len() / 2 + 1, b',');
            content.push(b']');
            let message = message_of("POST", Some(&content), budget);
            wipe(&mut content);
            assert!(found_in_memory() >= 2, "the copy itself");
            let scrubbed = scrub(Held::Alone(message), &masks(&["json", "password"])).unwrap();
            assert_eq!(found_in_memory(), 0, "the copy as it was is gone when it is sent");
            assert_eq!(sent(&scrubbed).matches("***").count(), 2);
        }
    }

    #[test]
    fn what_cannot_be_masked_is_not_sent() {
        let message = message_of("POST", Some(b"{\"password\":"), budget(1 << 20));
        let lost = scrub(Held::Alone(message), &masks(&["json", "password"])).unwrap_err();
        assert_eq!((lost, lost.loss()), (Unsent::Unmaskable(Unmaskable::Json), Loss::Unmaskable));
    }
}
