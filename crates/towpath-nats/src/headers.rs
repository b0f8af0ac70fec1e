//! Headers as NATS has them and as Towpath has them.

use std::str::FromStr as _;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use towpath_core::Headers;

/// The headers of a message that was received.
pub(crate) fn received(headers: Option<&HeaderMap>) -> Headers {
    let Some(headers) = headers else {
        return Headers::default();
    };
    let all = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| (name, value.as_str()))
    });
    all.collect()
}

/// A header that NATS cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {name:?} cannot be sent: {reason}")]
pub(crate) struct BadHeader {
    name: String,
    reason: &'static str,
}

/// The headers of a message to send.
pub(crate) fn to_send(headers: &Headers) -> Result<HeaderMap, BadHeader> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        append(&mut map, name, value)?;
    }
    Ok(map)
}

fn append(map: &mut HeaderMap, name: &str, value: &str) -> Result<(), BadHeader> {
    let bad = |reason| BadHeader {
        name: name.to_owned(),
        reason,
    };
    // From text directly the client panics where it does not fit.
    let known = HeaderName::from_str(name).ok().filter(|_| !name.is_empty());
    let name = known.ok_or_else(|| bad("its name is no ASCII word without a colon"))?;
    let value = HeaderValue::from_str(value).map_err(|_| bad("its value has a line break"))?;
    map.append(name, value);
    Ok(())
}

/// How many bytes the headers take of what the server lets a message have.
pub(crate) fn wire_size(headers: &HeaderMap) -> usize {
    if headers.is_empty() {
        return 0;
    }
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(|value| name.len() + value.as_str().len() + ": \r\n".len())
    });
    lines.sum::<usize>() + "NATS/1.0\r\n\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_out_and_come_in_as_they_were() {
        let headers: Headers = [
            ("traceparent", "00-1"),
            ("Tag", "one"),
            ("Tag", "two"),
            ("x", ""),
        ]
        .into_iter()
        .collect();
        let back = received(Some(&to_send(&headers).unwrap()));
        let mut pairs: Vec<_> = back.iter().collect();
        pairs.sort_unstable();
        assert_eq!(
            pairs,
            [
                ("Tag", "one"),
                ("Tag", "two"),
                ("traceparent", "00-1"),
                ("x", "")
            ]
        );
        assert_eq!(received(None), Headers::default());
    }

    #[test]
    fn a_header_that_nats_cannot_carry_is_named() {
        for (name, value) in [
            ("", "v"),
            ("a b", "v"),
            ("a:b", "v"),
            ("ü", "v"),
            ("n", "a\r\nb"),
        ] {
            let headers: Headers = [(name, value)].into_iter().collect();
            let error = to_send(&headers).unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn the_size_of_headers_is_what_the_server_counts() {
        assert_eq!(wire_size(&HeaderMap::new()), 0);
        let one: Headers = [("ab", "cde")].into_iter().collect();
        let size = "NATS/1.0\r\nab: cde\r\n\r\n".len();
        assert_eq!(wire_size(&to_send(&one).unwrap()), size);
    }
}
