//! The counters in their groups, with the names that each format has for them.

use crate::stats::{Cell, Totals};

/// Counters that belong together.
pub(super) struct Group {
    /// Its name in JSON, and, with spaces, in text.
    pub(super) title: &'static str,
    /// The prefix of its keys in `?auto`.
    pub(super) auto: &'static str,
    /// The label that tells its members apart in Prometheus.
    pub(super) label: &'static str,
    /// What it counts, in one sentence.
    pub(super) help: &'static str,
    pub(super) members: &'static [Counter],
}

/// One counter: where it is, its name in JSON and, with spaces, in text, and its suffix in `?auto`.
pub(super) struct Counter(pub(super) Cell, pub(super) &'static str, pub(super) &'static str);

impl Group {
    pub(super) fn sum(&self, totals: &Totals) -> u64 {
        self.members.iter().map(|Counter(cell, ..)| totals.count(*cell)).sum()
    }

    /// The members that are not zero.
    pub(super) fn counted<'a>(
        &'a self,
        totals: &'a Totals,
    ) -> impl Iterator<Item = (&'static str, u64)> + 'a {
        let members =
            self.members.iter().map(|Counter(cell, name, _)| (*name, totals.count(*cell)));
        members.filter(|(_, count)| *count > 0)
    }
}

/// A name as people read it.
pub(super) fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

pub(super) const DELIVERED: Group = Group {
    title: "delivered",
    auto: "Delivered",
    label: "class",
    help: "Copies that staging answered, by the class of the status.",
    members: &[
        Counter(Cell::Delivered2xx, "2xx", "2xx"),
        Counter(Cell::Delivered3xx, "3xx", "3xx"),
        Counter(Cell::Delivered4xx, "4xx", "4xx"),
        Counter(Cell::Delivered5xx, "5xx", "5xx"),
    ],
};

pub(super) const FAILED: Group = Group {
    title: "failed",
    auto: "Failed",
    label: "reason",
    help: "Copies whose exchange with staging brought no answer.",
    members: &[
        Counter(Cell::FailedConnect, "connect", "Connect"),
        Counter(Cell::FailedRefused, "refused", "Refused"),
        Counter(Cell::FailedTimeout, "timeout", "Timeout"),
        Counter(Cell::FailedReset, "reset", "Reset"),
        Counter(Cell::FailedProtocol, "protocol", "Protocol"),
        Counter(Cell::FailedDns, "dns", "Dns"),
        Counter(Cell::FailedInternal, "internal", "Internal"),
        Counter(Cell::FailedTls, "tls", "Tls"),
        Counter(Cell::FailedProxy, "proxy", "Proxy"),
    ],
};

pub(super) const DROPPED: Group = Group {
    title: "dropped",
    auto: "Dropped",
    label: "reason",
    help: "Copies that were given up.",
    members: &[
        Counter(Cell::DroppedQueueFull, "queue_full", "QueueFull"),
        Counter(Cell::DroppedMemory, "memory", "Memory"),
        Counter(Cell::DroppedBreaker, "breaker", "Breaker"),
        Counter(Cell::DroppedRate, "rate", "Rate"),
        Counter(Cell::DroppedNoMember, "no_member", "NoMember"),
        Counter(Cell::DroppedUnmaskable, "unmaskable", "Unmaskable"),
        Counter(Cell::DroppedOff, "off", "Off"),
        Counter(Cell::DroppedStopping, "stopping", "Stopping"),
        Counter(Cell::DroppedLost, "lost", "Lost"),
    ],
};

pub(super) const NOT_COPIED: Group = Group {
    title: "not_copied",
    auto: "NotCopied",
    label: "reason",
    help: "Requests in the target's scope of which no copy was made.",
    members: &[
        Counter(Cell::NotCopiedRefused, "refused", "Refused"),
        Counter(Cell::NotCopiedIncomplete, "incomplete", "Incomplete"),
        Counter(Cell::NotCopiedTooLarge, "too_large", "TooLarge"),
        Counter(Cell::NotCopiedNotCopyable, "not_copyable", "NotCopyable"),
        Counter(Cell::NotCopiedLoop, "loop", "Loop"),
        Counter(Cell::NotCopiedOff, "off", "Off"),
        Counter(Cell::NotCopiedMethod, "method", "Method"),
        Counter(Cell::NotCopiedBody, "body", "Body"),
        Counter(Cell::NotCopiedSampled, "sampled", "Sampled"),
        Counter(Cell::NotCopiedCondition, "condition", "Condition"),
    ],
};

/// All groups, in the order of the pages.
pub(super) const GROUPS: [Group; 4] = [DELIVERED, FAILED, DROPPED, NOT_COPIED];

/// The quantiles of latencies that are told.
pub(super) const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p90", 0.90), ("p99", 0.99)];
/// The quantiles of what requests cost.
pub(super) const COST_QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p99", 0.99), ("p999", 0.999)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_in_one_group_and_the_groups_are_those_of_the_series() {
        let cells = |group: &Group| group.members.iter().map(|Counter(cell, ..)| *cell).collect();
        let [delivered, failed, dropped]: [Vec<Cell>; 3] =
            [DELIVERED, FAILED, DROPPED].map(|group| cells(&group));
        assert_eq!(delivered, Cell::DELIVERED);
        assert_eq!(failed, Cell::FAILED);
        assert_eq!(dropped, Cell::DROPPED);
        assert_eq!([delivered, failed, dropped].concat(), Cell::OUTCOMES);
    }
}
