//! Which lane the key of a message belongs to.

use std::num::NonZeroU32;

/// The lane of a key, from 0 up to `lanes`: the 64-bit FNV-1a hash of its bytes, modulo the
/// number of lanes. The same for ever and in every program, so that others can compute it too.
///
/// ```
/// use std::num::NonZeroU32;
/// use towpath_nats::lane_of;
///
/// let lanes = NonZeroU32::new(16).expect("not zero");
/// assert_eq!(lane_of("customer-17", lanes), lane_of(b"customer-17", lanes));
/// ```
pub fn lane_of(key: impl AsRef<[u8]>, lanes: NonZeroU32) -> u32 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = key.as_ref().iter().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    u32::try_from(hash % u64::from(lanes.get())).unwrap_or(0)
}

/// The subject to which a message with this key is published, for a source with
/// [`Lanes`](crate::Lanes): `prefix.<lane>`.
///
/// ```
/// use std::num::NonZeroU32;
/// use towpath_nats::lane_subject;
///
/// let lanes = NonZeroU32::new(4).expect("not zero");
/// let subject = lane_subject("orders.by-customer", "customer-17", lanes);
/// assert!(subject.starts_with("orders.by-customer."));
/// ```
pub fn lane_subject(prefix: &str, key: impl AsRef<[u8]>, lanes: NonZeroU32) -> String {
    format!("{prefix}.{}", lane_of(key, lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_and_stays_it() {
        let many = NonZeroU32::new(u32::MAX).unwrap();
        let of = |hash: u64| u32::try_from(hash % u64::from(u32::MAX)).unwrap();
        assert_eq!(lane_of("", many), of(0xcbf2_9ce4_8422_2325));
        assert_eq!(lane_of("a", many), of(0xaf63_dc4c_8601_ec8c));
        assert_eq!(lane_of("foobar", many), of(0x8594_4171_f739_67e8));
    }

    #[test]
    fn keys_spread_over_all_lanes() {
        let lanes = NonZeroU32::new(8).unwrap();
        let mut of_lane = [0_u32; 8];
        for key in 0..8000_u32 {
            of_lane[lane_of(format!("customer-{key}"), lanes) as usize] += 1;
        }
        assert!(
            of_lane.iter().all(|keys| (700..1300).contains(keys)),
            "{of_lane:?}"
        );
    }
}
