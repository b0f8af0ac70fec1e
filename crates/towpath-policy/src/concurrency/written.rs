//! Concurrency as it is written in data: a number, a word, or the options by name.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::{Concurrency, Kind};

impl<'de> Deserialize<'de> for Concurrency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Concurrency;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of calls, \"adaptive\", or `adaptive` with its options")
    }

    fn visit_u64<E: Error>(self, calls: u64) -> Result<Concurrency, E> {
        let calls = usize::try_from(calls);
        calls
            .map(Concurrency::limit)
            .map_err(|_| E::custom("is more calls than can be counted"))
    }

    fn visit_i64<E: Error>(self, calls: i64) -> Result<Concurrency, E> {
        match u64::try_from(calls) {
            Ok(calls) => self.visit_u64(calls),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(calls), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Concurrency, E> {
        match word {
            "adaptive" => Ok(Concurrency::adaptive()),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, options: A) -> Result<Concurrency, A::Error> {
        Kind::deserialize(MapAccessDeserializer::new(options)).map(Concurrency)
    }
}
