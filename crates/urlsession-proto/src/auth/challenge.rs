//! Challenges: the fields `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110 §11.3, §11.6.1). Knows no scheme.

use std::borrow::Cow;

use crate::field::{comma, is_token};

/// A scheme and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    scheme: &'a str,
    token68: Option<&'a str>,
    parameters: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Challenge<'a> {
    /// The scheme as it was spelled.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// Whether it is this scheme. Compared without case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// What stands in place of parameters (RFC 9110 §11.2).
    pub fn token68(&self) -> Option<&'a str> {
        self.token68
    }

    /// The first value of a parameter, unquoted. Names compare without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// Every parameter in order, names as spelled, values unquoted.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, &str)> {
        self.parameters.iter().map(|(name, value)| (*name, &**value))
    }
}

/// The challenges of a field, in order.
///
/// Several stand in one field, separated by the same commas as their parameters. What is malformed is skipped to the
/// next comma; a quoted string without an end takes its challenge with it. A field longer than 64 KiB holds none, and
/// no more than 32 challenges are read, of 64 parameters each.
pub fn challenges(value: &str) -> Vec<Challenge<'_>> {
    let mut found = Vec::new();
    if value.len() > MAX_BYTES {
        return found;
    }
    let mut reader = Reader { rest: value };
    while reader.skip_to_member() {
        match reader.member() {
            Member::Challenge(challenge) if found.len() < MAX_CHALLENGES => found.push(challenge),
            Member::Challenge(_) => return found,
            Member::Parameter(name, value) => {
                if let Some(challenge) = found.last_mut() {
                    add(challenge, name, value);
                }
            }
            Member::Nothing => {}
            Member::UnfinishedParameter => {
                found.pop();
                return found;
            }
            Member::UnfinishedChallenge => return found,
        }
        reader.skip_rest_of_member();
    }
    found
}

/// The parameters of a field that has nothing else, such as `Authentication-Info` (RFC 7615 §3).
pub fn parameters(value: &str) -> Vec<(&str, Cow<'_, str>)> {
    let mut found = Vec::new();
    if value.len() > MAX_BYTES {
        return found;
    }
    let mut reader = Reader { rest: value };
    while reader.skip_to_member() && found.len() < MAX_PARAMETERS {
        let Some(name) = reader.token() else {
            reader.skip_rest_of_member();
            continue;
        };
        match reader.value() {
            Value::Some(value) => found.push((name, value)),
            Value::Unfinished => break,
            Value::Absent | Value::Empty => {}
        }
        reader.skip_rest_of_member();
    }
    found
}

fn add<'a>(challenge: &mut Challenge<'a>, name: &'a str, value: Cow<'a, str>) {
    if challenge.parameters.len() < MAX_PARAMETERS {
        challenge.parameters.push((name, value));
    }
}

enum Member<'a> {
    Challenge(Challenge<'a>),
    Parameter(&'a str, Cow<'a, str>),
    /// What means nothing.
    Nothing,
    /// A quoted string that does not end: in a parameter, or in the first one of a challenge.
    UnfinishedParameter,
    UnfinishedChallenge,
}

enum Value<'a> {
    Some(Cow<'a, str>),
    /// There is no `=`; nothing was read.
    Absent,
    /// There is nothing after the `=`.
    Empty,
    /// A quoted string does not end.
    Unfinished,
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Goes to the next member; false at the end.
    fn skip_to_member(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        !self.rest.is_empty()
    }

    /// Goes past what is left of a member: up to a comma that is in no quoted string.
    fn skip_rest_of_member(&mut self) {
        self.rest = comma(self.rest).map_or("", |at| &self.rest[at..]);
    }

    /// A parameter, or a scheme with its first parameter or its token68.
    fn member(&mut self) -> Member<'a> {
        let Some(name) = self.token() else { return Member::Nothing };
        match self.value() {
            Value::Some(value) => return Member::Parameter(name, value),
            Value::Empty => return Member::Nothing,
            Value::Unfinished => return Member::UnfinishedParameter,
            Value::Absent => {}
        }
        let mut challenge = Challenge { scheme: name, token68: None, parameters: Vec::new() };
        let after = self.rest.trim_start_matches([' ', '\t']);
        if after.is_empty() || after.starts_with(',') {
            return Member::Challenge(challenge);
        }
        if after.len() == self.rest.len() {
            // Something sticks to the name: it is not a scheme.
            return Member::Nothing;
        }
        self.rest = after;
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(token68);
            return Member::Challenge(challenge);
        }
        let Some(name) = self.token() else { return Member::Nothing };
        match self.value() {
            Value::Some(value) => add(&mut challenge, name, value),
            Value::Empty => {}
            Value::Unfinished => return Member::UnfinishedChallenge,
            // Words without a sign between them are not a challenge.
            Value::Absent => return Member::Nothing,
        }
        Member::Challenge(challenge)
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.bytes().position(|b| !is_token_byte(b)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        if !is_token(token) {
            return None;
        }
        self.rest = rest;
        Some(token)
    }

    /// RFC 9110 §11.2: up to the next comma and nothing else, so that `name=value` is none.
    fn token68(&mut self) -> Option<&'a str> {
        let end = self.rest.find(',').unwrap_or(self.rest.len());
        let text = self.rest[..end].trim_end_matches([' ', '\t']);
        let body = text.trim_end_matches('=');
        let is_body = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        if body.is_empty() || !body.bytes().all(is_body) {
            return None;
        }
        self.rest = &self.rest[end..];
        Some(text)
    }

    /// What follows a name: `=` and a value, with white space around the sign that should not be there (BWS).
    fn value(&mut self) -> Value<'a> {
        let Some(after) = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            return Value::Absent;
        };
        let after = after.trim_start_matches([' ', '\t']);
        if let Some(inner) = after.strip_prefix('"') {
            return self.quoted(inner);
        }
        let end = after.find([',', ' ', '\t', '"']).unwrap_or(after.len());
        let (value, rest) = after.split_at(end);
        self.rest = rest;
        if value.is_empty() {
            return Value::Empty;
        }
        Value::Some(Cow::Borrowed(value))
    }

    fn quoted(&mut self, inner: &'a str) -> Value<'a> {
        let mut unescaped: Option<String> = None;
        let mut chars = inner.char_indices();
        let mut begin = 0;
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &inner[at + 1..];
                    let last = &inner[begin..at];
                    return Value::Some(match unescaped {
                        Some(text) => Cow::Owned(text + last),
                        None => Cow::Borrowed(last),
                    });
                }
                '\\' => {
                    unescaped.get_or_insert_default().push_str(&inner[begin..at]);
                    // The next character stands for itself, and begins what is copied next.
                    begin = at + 1;
                    chars.next();
                }
                _ => {}
            }
        }
        Value::Unfinished
    }
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// The longest field that is read.
const MAX_BYTES: usize = 64 * 1024;

const MAX_CHALLENGES: usize = 32;

const MAX_PARAMETERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme, token68 and parameters of each.
    fn read(value: &str) -> Vec<String> {
        let line = |challenge: &Challenge<'_>| {
            let mut line = challenge.scheme().to_owned();
            if let Some(token68) = challenge.token68() {
                line += &format!(" [{token68}]");
            }
            for (name, value) in challenge.parameters() {
                line += &format!(" {name}={value}");
            }
            line
        };
        challenges(value).iter().map(line).collect()
    }

    #[test]
    fn several_challenges_stand_in_one_field() {
        // RFC 9110 §11.6.1
        assert_eq!(
            read(r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#),
            ["Basic realm=simple", r#"Newauth realm=apps type=1 title=Login to "apps""#]
        );
        assert_eq!(
            read("Negotiate, NTLM TlRMTVNTUAAC==, Digest a=b , qop=\"auth,auth-int\",,Basic realm=x"),
            ["Negotiate", "NTLM [TlRMTVNTUAAC==]", "Digest a=b qop=auth,auth-int", "Basic realm=x"]
        );
    }

    #[test]
    fn white_space_and_case_do_not_matter() {
        let all = challenges("  bAsIc \t reALm =  \"a\" ,\tcharset\t=utf-8");
        assert!(all[0].is("Basic"));
        assert_eq!(all[0].parameter("REALM"), Some("a"));
        assert_eq!(all[0].parameter("charset"), Some("utf-8"));
    }

    #[test]
    fn the_first_of_two_values_counts() {
        assert_eq!(challenges("Basic realm=a, realm=b")[0].parameter("realm"), Some("a"));
    }

    #[test]
    fn text_in_quotation_marks_is_text() {
        assert_eq!(
            read(r#"Basic realm="Größe, Basic realm=\"x\" \\""#),
            [r#"Basic realm=Größe, Basic realm="x" \"#]
        );
        assert_eq!(read(r#"Basic realm="""#), ["Basic realm="]);
    }

    #[test]
    fn what_is_malformed_is_skipped_and_what_follows_is_read() {
        for (value, expected) in [
            ("", &[][..]),
            (",,, ,", &[]),
            ("not real at all, Basic realm=x", &["Basic realm=x"]),
            ("realm=x, Basic realm=y", &["Basic realm=y"]),
            (r#"Basic realm="a"charset="#, &["Basic realm=a"]),
            (r#"Basic realm = "a",charset="#, &["Basic realm=a"]),
            (r#"Basic realm="a"junk"b, c", Digest d=e"#, &["Basic realm=a", "Digest d=e"]),
            (r#"Basic realm="a, b"#, &[]),
            (r#"Digest d=e, Basic realm="a\"#, &["Digest d=e"]),
            (r#"Digest d=e, opaque="a"#, &[]),
            ("Basic; realm=x", &[]),
            ("Basic @, Digest d=e", &["Digest d=e"]),
            ("\"Basic\" realm=x, Digest d=e", &["Digest d=e"]),
        ] {
            assert_eq!(read(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_hostile_field_costs_nothing() {
        let ten_megabytes = format!("Digest {}", "a=b, ".repeat(2 << 20));
        assert!(challenges(&ten_megabytes).is_empty());
        assert!(parameters(&ten_megabytes).is_empty());
        assert_eq!(challenges(&"Basic, ".repeat(9000)).len(), MAX_CHALLENGES);
        let many = format!("Digest {}", "a=b, ".repeat(9000));
        assert_eq!(challenges(&many)[0].parameters().count(), MAX_PARAMETERS);
        assert_eq!(challenges(&format!("Basic realm=\"{}", "\\".repeat(60_000))), []);
    }

    #[test]
    fn parameters_may_stand_alone() {
        let all = parameters(r#"qop=auth, rspauth="a,b", nc=00000001, =x, y=, z"#);
        assert_eq!(all, [("qop", "auth".into()), ("rspauth", "a,b".into()), ("nc", "00000001".into())]);
    }
}
