//! Payloads that systems stumble over.

/// Nothing, one byte, all bytes, what is no UTF-8, line ends, and as much as is promised.
pub(super) fn payloads(largest: usize) -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0],
        (0..=u8::MAX).collect(),
        vec![0xff, 0xfe, 0xc0],
        b"two\r\nlines\n\n".to_vec(),
        large(largest),
    ]
}

/// So many bytes of every kind, without a pattern that compresses to nothing.
pub(super) fn large(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
