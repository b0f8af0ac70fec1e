//! What a row says beside its name: the few attributes that one looks for.

use serde_json::Value;

use super::trace::tag;

/// In a few words; `elsewhere` are the other traces that the span links to.
pub(super) fn detail(span: &Value, elsewhere: &[String]) -> String {
    let word = |key: &str| tag(span, key).map(plain);
    let is_attempt = span["operationName"]
        .as_str()
        .is_some_and(|name| name.starts_with("attempt "));
    let attempt = word("towpath.attempt").filter(|_| is_attempt);
    let count = word("messaging.batch.message_count").map(|count| format!("{count} messages"));
    let count = count.map(|words| {
        if words == "1 messages" {
            "1 message".to_owned()
        } else {
            words
        }
    });
    let links = (!elsewhere.is_empty()).then(|| format!("links to {}", elsewhere.join(", ")));
    let words = [
        attempt.map(|number| format!("no. {number}")),
        word("error.type"),
        word("towpath.wait.reason").map(|reason| reason.replace('_', " ")),
        word("towpath.outcome"),
        count,
        word("towpath.batch.trigger").map(|trigger| format!("closed by {trigger}")),
        links,
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
