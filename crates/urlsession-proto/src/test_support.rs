//! For the tests of what is read piece by piece: input put together at random, the same in every run.

/// So many sequences of so many members of an alphabet (xorshift).
pub(crate) fn sequences<T: Copy>(
    alphabet: &[T],
    count: usize,
    length: usize,
) -> impl Iterator<Item = Vec<T>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut member = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        alphabet[(seed % alphabet.len() as u64) as usize]
    };
    (0..count).map(move |_| (0..length).map(|_| member()).collect())
}
