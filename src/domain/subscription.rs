//! Which webhooks want which event: event names with `prefix.*` and `*`, by index.

use std::collections::{BTreeSet, HashMap};

use super::{error::Faults, id::WebhookKey, text};

/// Checks one entry of a webhook's `event_names`, or of a filter's.
pub fn check_pattern(faults: &mut Faults, field: &str, pattern: &str) {
    if pattern == "*" {
        return;
    }
    text::check_event_name(faults, field, pattern.strip_suffix(".*").unwrap_or(pattern));
}

/// Whether a pattern stands for more than one name.
pub fn is_wildcard(pattern: &str) -> bool {
    pattern == "*" || pattern.ends_with(".*")
}

/// Whether an event name fits a pattern: the name itself, `prefix.*` for all
/// names below the prefix, `*` for all.
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) if prefix.ends_with('.') => {
            name.len() > prefix.len() && name.starts_with(prefix)
        }
        _ => pattern == name,
    }
}

/// The webhooks of a tenant by the patterns that they subscribe to. A look-up
/// costs one hash per dot in the name, however many webhooks there are.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    by_pattern: HashMap<String, BTreeSet<WebhookKey>>,
}

impl SubscriptionIndex {
    /// Adds a webhook under its patterns.
    pub fn insert(&mut self, webhook: WebhookKey, patterns: &[String]) {
        for pattern in patterns {
            self.by_pattern.entry(pattern.clone()).or_default().insert(webhook);
        }
    }

    /// Takes a webhook out from under its patterns.
    pub fn remove(&mut self, webhook: WebhookKey, patterns: &[String]) {
        for pattern in patterns {
            if let Some(webhooks) = self.by_pattern.get_mut(pattern) {
                webhooks.remove(&webhook);
                if webhooks.is_empty() {
                    self.by_pattern.remove(pattern);
                }
            }
        }
    }

    /// The webhooks that want events of this name, each once, in key order.
    pub fn matching(&self, name: &str) -> Vec<WebhookKey> {
        let mut found: Vec<WebhookKey> = Vec::new();
        let mut collect = |pattern: &str| {
            if let Some(webhooks) = self.by_pattern.get(pattern) {
                found.extend(webhooks);
            }
        };
        collect(name);
        collect("*");
        let mut pattern = String::with_capacity(name.len() + 1);
        // A dot at the very end has no name below it.
        for (at, _) in name.match_indices('.').filter(|(at, _)| at + 1 < name.len()) {
            pattern.clear();
            pattern.push_str(&name[..=at]);
            pattern.push('*');
            collect(&pattern);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_covers_what_is_below_it_only() {
        assert!(fits("loyalty.*", "loyalty.points.issued"));
        for outside in ["loyalty", "loyalty.", "loyaltyX.points", "other.loyalty.x"] {
            assert!(!fits("loyalty.*", outside), "{outside}");
        }
        assert!(fits("*", "anything") && fits("a", "a") && !fits("a", "a.b"));
    }

    #[test]
    fn a_webhook_that_is_taken_out_matches_no_more() {
        let mut index = SubscriptionIndex::default();
        let patterns = ["a".to_owned(), "a.*".to_owned(), "*".to_owned()];
        index.insert(WebhookKey(1), &patterns);
        index.insert(WebhookKey(2), &patterns[..1]);
        assert_eq!(index.matching("a"), [WebhookKey(1), WebhookKey(2)]);
        index.remove(WebhookKey(1), &patterns);
        assert_eq!(index.matching("a"), [WebhookKey(2)]);
        assert!(index.matching("a.b").is_empty());
        assert_eq!(index.by_pattern.keys().collect::<Vec<_>>(), ["a"]);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_scan_finds(
            hooks in prop::collection::vec(
                prop::collection::vec("[ab]{1,2}(\\.[ab]){0,2}(\\.\\*)?|\\*", 1..4), 0..12),
            name in "[ab]{1,2}(\\.[ab]?){0,3}",
        ) {
            let mut index = SubscriptionIndex::default();
            for (key, patterns) in hooks.iter().enumerate() {
                index.insert(WebhookKey(key as i64), patterns);
            }
            let scan: Vec<_> = (hooks.iter().enumerate())
                .filter(|(_, patterns)| patterns.iter().any(|p| fits(p, &name)))
                .map(|(key, _)| WebhookKey(key as i64))
                .collect();
            prop_assert_eq!(index.matching(&name), scan);
        }
    }
}
