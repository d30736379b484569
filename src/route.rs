//! What copies reach a target by, when its destination has been looked up.

use std::sync::Arc;

use crate::balancer::Roster;
use crate::target::{BalancerUrl, Url};
use crate::tls::{Shared, Tls};

/// What copies reach a target by.
#[derive(Clone, Debug)]
pub enum Route {
    /// Connections to one server.
    Direct {
        /// Where it is.
        url: Url,
        /// What they are made with where they are over TLS.
        tls: Option<Tls>,
    },
    /// Connections to the members of a balancer.
    Balanced {
        /// Its name, and the path below each member.
        url: BalancerUrl,
        /// The members, as mod_proxy has them.
        roster: Arc<dyn Roster>,
        /// What those that speak TLS are met with; `None` where nothing is set, and the system has no CAs.
        tls: Option<Shared>,
    },
}
