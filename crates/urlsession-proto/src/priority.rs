//! Extensible priorities (RFC 9218): urgencies, the `Priority` field and the PRIORITY_UPDATE frame of HTTP/2.

/// How urgent a response is (RFC 9218 §4.1): 0 the most, 7 the least, 3 what is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(u8);

impl Urgency {
    /// The urgency of a request that names none.
    pub const DEFAULT: Self = Self(3);
    /// The priority that is this urgency.
    pub const DEFAULT_PRIORITY: f32 = 0.5;

    /// From a priority between 0, the least, and 1: 0.5 is the default.
    pub fn of_priority(priority: f32) -> Self {
        let urgency = match priority {
            high if high >= 0.5 => ((1.0 - high) * 6.0).round(),
            low => (3.0 + (0.5 - low) * 8.0).round(),
        };
        // A float that is out of range becomes the nearest end.
        Self((urgency as u8).min(7))
    }

    /// The value of the `Priority` field.
    pub fn field_value(self) -> &'static str {
        ["u=0", "u=1", "u=2", "u=3", "u=4", "u=5", "u=6", "u=7"][usize::from(self.0)]
    }

    /// The frame that gives a stream of a request this urgency from now on (RFC 9218 §7.1).
    pub fn update_frame(self, stream: u32) -> [u8; UPDATE_LENGTH] {
        let [s0, s1, s2, s3] = stream.to_be_bytes();
        let value = self.field_value().as_bytes();
        // Sent on stream 0; without flags.
        let length = (UPDATE_LENGTH - 9) as u8;
        [0, 0, length, 0x10, 0, 0, 0, 0, 0, s0 & 0x7f, s1, s2, s3, value[0], value[1], value[2]]
    }
}

impl Default for Urgency {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Head, stream and field value.
const UPDATE_LENGTH: usize = 9 + 4 + 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_urgencies_and_half_is_the_default() {
        for (priority, value) in [
            (1.0, "u=0"),
            (0.75, "u=2"),
            (0.5, "u=3"),
            (0.25, "u=5"),
            (0.0, "u=7"),
            (-9.0, "u=7"),
            (9.0, "u=0"),
        ] {
            assert_eq!(Urgency::of_priority(priority).field_value(), value, "{priority}");
        }
        assert_eq!(Urgency::of_priority(0.5), Urgency::default());
    }

    #[test]
    fn an_update_names_its_stream_in_a_frame_of_the_connection() {
        let frame = Urgency::of_priority(1.0).update_frame(0x0102_0305);
        assert_eq!(frame, *b"\0\0\x07\x10\0\0\0\0\0\x01\x02\x03\x05u=0");
    }
}
