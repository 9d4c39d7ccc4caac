//! `Upload-Limit`: what a server takes, and how a body is cut so that it does.

use super::Stop;

/// The limits of an upload, in bytes, and the seconds it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest representation.
    pub max_size: Option<u64>,
    /// The shortest representation.
    pub min_size: Option<u64>,
    /// The longest content of one request.
    pub max_append_size: Option<u64>,
    /// The shortest content of one request, but for one that ends the upload and for an empty creation.
    pub min_append_size: Option<u64>,
    /// For how many seconds from the response on the upload is kept.
    pub max_age: Option<u64>,
}

/// What one request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many bytes; `None` is all there are.
    pub length: Option<u64>,
    /// Whether it reaches the end.
    pub is_last: bool,
}

impl Limits {
    /// Whether there may be an upload of this length at all.
    pub fn allow(&self, length: Option<u64>) -> Result<(), Stop> {
        match length {
            Some(length) if self.max_size.is_some_and(|max| length > max) => Err(Stop::TooLarge),
            Some(length) if self.min_size.is_some_and(|min| length < min) => Err(Stop::TooSmall),
            _ => Ok(()),
        }
    }

    /// The part that begins at `at` of a representation of `length` bytes, if it is known.
    pub fn part(&self, at: u64, length: Option<u64>) -> Result<Part, Stop> {
        self.allow(length)?;
        let all = Part { length: length.map(|length| length.saturating_sub(at)), is_last: true };
        let Some(max) = self.max_append_size else { return Ok(all) };
        match all.length {
            Some(rest) if rest <= max => Ok(all),
            // Where the end is not known, no part can be told from the last.
            None => Err(Stop::LimitsCannotBeMet),
            Some(_) if max < SMALLEST || self.min_append_size.is_some_and(|min| min > max) => {
                Err(Stop::LimitsCannotBeMet)
            }
            Some(_) => Ok(Part { length: Some(max), is_last: false }),
        }
    }
}

/// Parts that are shorter are nothing but requests.
const SMALLEST: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits {
        max_size: None,
        min_size: None,
        max_append_size: None,
        min_append_size: None,
        max_age: None,
    };

    #[test]
    fn without_limits_a_part_is_all_that_is_left() {
        assert_eq!(NONE.part(3, Some(10)), Ok(Part { length: Some(7), is_last: true }));
        assert_eq!(NONE.part(10, Some(10)), Ok(Part { length: Some(0), is_last: true }));
        assert_eq!(NONE.part(0, None), Ok(Part { length: None, is_last: true }));
    }

    #[test]
    fn a_body_is_cut_at_the_longest_append_and_only_the_last_part_may_be_short() {
        let limits = Limits { max_append_size: Some(40), min_append_size: Some(30), ..NONE };
        assert_eq!(limits.part(0, Some(100)), Ok(Part { length: Some(40), is_last: false }));
        assert_eq!(limits.part(80, Some(100)), Ok(Part { length: Some(20), is_last: true }));
        assert_eq!(limits.part(0, None), Err(Stop::LimitsCannotBeMet));
    }

    #[test]
    fn what_cannot_be_obeyed_stops_the_upload() {
        assert_eq!(Limits { max_size: Some(9), ..NONE }.part(0, Some(10)), Err(Stop::TooLarge));
        assert_eq!(Limits { min_size: Some(11), ..NONE }.part(0, Some(10)), Err(Stop::TooSmall));
        for (max, min) in [(0, None), (1, None), (40, Some(50))] {
            let limits = Limits { max_append_size: Some(max), min_append_size: min, ..NONE };
            assert_eq!(limits.part(0, Some(100)), Err(Stop::LimitsCannotBeMet), "{max} {min:?}");
        }
        assert!(Limits { max_append_size: Some(0), ..NONE }.part(10, Some(10)).is_ok());
    }
}
