//! Headers as a column.

use towpath_core::Headers;

/// Headers as JSON: a list of pairs, as there may be several of a name. None are no text.
pub(crate) fn write(headers: &Headers) -> Option<String> {
    if headers.is_empty() {
        return None;
    }
    let pairs: Vec<_> = headers.iter().collect();
    serde_json::to_string(&pairs).ok()
}

/// Reads what [`write`] wrote; what cannot be read is none.
pub(crate) fn read(text: Option<&str>) -> Headers {
    let pairs: Option<Vec<(String, String)>> =
        text.and_then(|text| serde_json::from_str(text).ok());
    pairs.unwrap_or_default().into_iter().collect()
}
