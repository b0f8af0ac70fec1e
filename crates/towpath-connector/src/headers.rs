//! Attempts and traces, carried from one system to the next.

use towpath_core::{Batch, Headers};

/// Which attempt at a message this is, counted over all systems it has passed through: 1 is
/// the first, and so is nothing at all.
pub const ATTEMPT_HEADER: &str = "towpath-attempt";

/// Which attempt a delivery is, by what its headers say and how often its source has
/// delivered it, this time included.
///
/// ```
/// use towpath_connector::{ATTEMPT_HEADER, attempt_of};
/// use towpath_core::Headers;
///
/// let tried_twice: Headers = [(ATTEMPT_HEADER, "3")].into_iter().collect();
/// assert_eq!(attempt_of(&tried_twice, 1), 3);
/// assert_eq!(attempt_of(&tried_twice, 2), 4);
/// assert_eq!(attempt_of(&Headers::default(), 2), 2);
/// ```
pub fn attempt_of(headers: &Headers, deliveries: u32) -> u32 {
    let before = headers
        .get(ATTEMPT_HEADER)
        .and_then(|text| text.parse().ok());
    before
        .map_or(1, |attempt: u32| attempt.max(1))
        .saturating_add(deliveries.max(1) - 1)
}

/// What goes out with a message of a batch: the headers that it is given, those of its trace,
/// and its attempts where there was more than one. Of the same name, the last counts.
pub fn outgoing<T>(batch: &Batch<T>, index: usize, given: &Headers) -> Headers {
    let traced = match batch.trace(index) {
        Some(trace) => given.updated(&trace),
        None => given.clone(),
    };
    let attempt = batch.origin(index).map_or(0, |origin| origin.attempt);
    if attempt <= 1 {
        return traced;
    }
    let attempt = [(ATTEMPT_HEADER, attempt.to_string())];
    traced.updated(&attempt.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use towpath_core::{BatchInfo, Origin, Trigger};

    use super::*;

    #[test]
    fn a_message_goes_out_with_its_attempts_and_a_first_attempt_is_not_told() {
        let origins = [1, 3].map(|attempt| Origin::default().attempt(attempt));
        let info = BatchInfo::new("store".into(), 2, Trigger::Count);
        let batch = Batch::new(vec![(), ()], origins.to_vec(), info);
        let given: Headers = [("tenant", "a"), (ATTEMPT_HEADER, "9")]
            .into_iter()
            .collect();
        assert_eq!(outgoing(&batch, 0, &Headers::default()), Headers::default());
        let sent = outgoing(&batch, 1, &given);
        assert_eq!(
            (sent.get("tenant"), sent.get(ATTEMPT_HEADER)),
            (Some("a"), Some("3"))
        );
    }

    #[test]
    fn what_is_no_number_counts_as_a_first_attempt() {
        let garbage: Headers = [(ATTEMPT_HEADER, "many")].into_iter().collect();
        assert_eq!(attempt_of(&garbage, 0), 1);
        let most: Headers = [(ATTEMPT_HEADER, "4294967295")].into_iter().collect();
        assert_eq!(attempt_of(&most, 5), u32::MAX);
    }
}
