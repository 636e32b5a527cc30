//! Inputs as scripts.

/// Steps of one script, so that a run is short.
const STEPS: usize = 64;

/// Each step is a number, an argument, a length and as many bytes.
pub(crate) fn steps(mut data: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let step = move || {
        let (&[what, argument, len], rest) = data.split_first_chunk()?;
        let (bytes, rest) = rest.split_at(rest.len().min(len.into()));
        data = rest;
        Some((what, argument, bytes))
    };
    std::iter::from_fn(step).take(STEPS)
}
