//! JSON as far as a log needs it: values, and how they are written (RFC 8259). It does not read JSON.

use std::fmt::{Display, Formatter, Result, Write};

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Json {
    Text(String),
    Number(i64),
    /// Microseconds, written as milliseconds with three decimals.
    Millis(i64),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A count; one that is larger than an `i64` is written as the largest `i64`.
    pub(super) fn count(count: u64) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) const NONE: Self = Self::List(Vec::new());
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => write_text(text, f),
            Self::Number(number) => write!(f, "{number}"),
            Self::Millis(micros) => {
                let (sign, micros) = (if *micros < 0 { "-" } else { "" }, micros.unsigned_abs());
                write!(f, "{sign}{}.{:03}", micros / 1000, micros % 1000)
            }
            Self::List(values) => {
                f.write_char('[')?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", comma(at))?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (at, (name, value)) in members.iter().enumerate() {
                    f.write_str(comma(at))?;
                    write_text(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn comma(at: usize) -> &'static str {
    if at == 0 { "" } else { "," }
}

/// RFC 8259 §7. `<` and the line separators are legal as they are, but not in the scripts that logs end up in.
fn write_text(text: &str, f: &mut Formatter<'_>) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0'..='\x1f' | '\x7f' | '<' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back_as_it_was() {
        let all: String = (0..=0x2fff).chain(0x1_f600..0x1_f610).filter_map(char::from_u32).collect();
        let json = Json::Object(vec![("a\"b", Json::text(&*all))]).to_string();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["a\"b"], *all);
        assert!(!json.contains(['<', '\u{2028}', '\n']));
    }

    #[test]
    fn numbers_and_lists_are_written_as_json() {
        let all = Json::List(vec![
            Json::Number(-1),
            Json::Millis(1_002_030),
            Json::Millis(7),
            Json::Millis(-1000),
            Json::NONE,
            Json::count(u64::MAX),
        ]);
        assert_eq!(all.to_string(), "[-1,1002.030,0.007,-1.000,[],9223372036854775807]");
    }
}
