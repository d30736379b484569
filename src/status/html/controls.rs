//! The controls of copy-manager: forms that a browser sends back as they are, without any script.

use maud::{Markup, html};

use crate::status::reading::TargetReading;

/// What the controls need to work.
#[derive(Clone, Copy, Debug)]
pub struct Controls<'a> {
    /// Proves that a change comes from this page.
    pub nonce: &'a str,
    /// What became of the last change, if one was asked for.
    pub notice: Option<&'a Notice>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It was made, to what it says.
    Done(String),
    /// It was refused, for what it says.
    Refused(String),
}

impl Controls<'_> {
    pub(super) fn notice(&self) -> Markup {
        html! {
            @match self.notice {
                None => {}
                Some(Notice::Done(what)) => { p.notice.good role="status" { (what) } }
                Some(Notice::Refused(why)) => { p.notice.bad role="alert" { (why) } }
            }
        }
    }

    /// Controls that work on every target at once.
    pub(super) fn for_all(&self, targets: &[&TargetReading]) -> Markup {
        html! {
            @if targets.len() > 1 {
                section.all {
                    h2 { "All targets" }
                    (self.form(None, html! {
                        (button("switch", "off", "Switch all off"))
                        (button("switch", "on", "Switch all on"))
                        (button("configured", "all", "All as configured"))
                        (button("breaker", "reset", "Reset all breakers"))
                        @if targets.iter().any(|target| target.is_compared()) {
                            (button("comparisons", "forget", "Forget all comparisons"))
                        }
                    }))
                }
            }
        }
    }

    /// Controls of one target.
    pub(super) fn for_target(&self, target: &TargetReading) -> Markup {
        let settings = &target.settings;
        html! {
            div.controls {
                (self.form(Some(target), html! {
                    @if settings.is_on { (button("switch", "off", "Switch off")) }
                    @else { (button("switch", "on", "Switch on")) }
                    @if settings.differ() || settings.is_switched { (button("configured", "all", "As configured")) }
                    @if matches!(target.breaker.state, "open" | "half-open") { (button("breaker", "reset", "Reset breaker")) }
                    @if target.is_compared() { (button("comparisons", "forget", "Forget comparisons")) }
                }))
                (self.form(Some(target), html! {
                    label { "sample " input name="sample" size="8" maxlength="16" placeholder="10%"
                        value=[settings.overrides.sample]; }
                    button { "Set" }
                }))
                (self.form(Some(target), html! {
                    label { "at most " input name="rate" size="8" maxlength="16" placeholder="100/s"
                        value=[settings.overrides.rate]; }
                    button { "Set" }
                }))
            }
        }
    }

    fn form(&self, target: Option<&TargetReading>, inside: Markup) -> Markup {
        html! {
            form method="post" action="?" {
                input type="hidden" name="nonce" value=(self.nonce);
                @if let Some(target) = target { input type="hidden" name="target" value=(target.name()); }
                (inside)
            }
        }
    }
}

fn button(name: &str, value: &str, text: &str) -> Markup {
    html! { button name=(name) value=(value) { (text) } }
}
