//! What a refusal says (RFC 9457): the problem types of resumable uploads.

use serde_json::Value;

/// A problem the draft defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The content of a `PATCH` does not begin where the upload ends.
    MismatchingOffset {
        /// Where the upload ends.
        expected: Option<u64>,
        /// What the request said.
        provided: Option<u64>,
    },
    /// Requests of one upload say different lengths.
    InconsistentLength,
    /// The upload is complete; of versions before 8.
    Completed,
}

impl Problem {
    /// Bytes of a description that is read.
    pub const LONGEST: usize = 16 * 1024;

    /// Reads the content of a response of this media type; `None` if it is no problem known here.
    pub fn read(media_type: &str, content: &[u8]) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/problem+json") || content.len() > Self::LONGEST {
            return None;
        }
        let problem: Value = serde_json::from_slice(content).ok()?;
        let number = |name: &str| problem.get(name)?.as_u64();
        match problem.get("type")?.as_str()?.strip_prefix(REGISTRY)? {
            "mismatching-upload-offset" => Some(Self::MismatchingOffset {
                expected: number("expected-offset"),
                provided: number("provided-offset"),
            }),
            "inconsistent-upload-length" => Some(Self::InconsistentLength),
            "completed-upload" => Some(Self::Completed),
            _ => None,
        }
    }
}

const REGISTRY: &str = "https://iana.org/assignments/http-problem-types#";

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/problem+json";

    #[test]
    fn the_problems_of_the_draft_are_read() {
        let read = |name: &str, more: &str| {
            let text = format!("{{\"type\":\"{REGISTRY}{name}\",\"title\":\"x\"{more}}}");
            Problem::read("Application/Problem+JSON; charset=utf-8", text.as_bytes())
        };
        assert_eq!(
            read("mismatching-upload-offset", ",\"expected-offset\":100,\"provided-offset\":200"),
            Some(Problem::MismatchingOffset { expected: Some(100), provided: Some(200) })
        );
        assert_eq!(
            read("mismatching-upload-offset", ",\"expected-offset\":\"x\",\"provided-offset\":-1"),
            Some(Problem::MismatchingOffset { expected: None, provided: None })
        );
        assert_eq!(read("inconsistent-upload-length", ""), Some(Problem::InconsistentLength));
        assert_eq!(read("completed-upload", ""), Some(Problem::Completed));
        assert_eq!(read("out-of-credit", ""), None);
    }

    #[test]
    fn what_is_no_problem_is_none() {
        for (kind, text) in [
            (
                "application/json",
                "{\"type\":\"https://iana.org/assignments/http-problem-types#completed-upload\"}",
            ),
            (JSON, ""),
            (JSON, "[]"),
            (JSON, "{\"type\":7}"),
            (JSON, "{\"type\":\"about:blank\"}"),
        ] {
            assert_eq!(Problem::read(kind, text.as_bytes()), None, "{text}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(Problem::read(JSON, deep.as_bytes()), None);
    }
}
