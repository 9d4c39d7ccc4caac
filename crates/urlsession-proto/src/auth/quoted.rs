//! Quoted strings, written (RFC 9110 §5.6.4).

/// Appends `value` in quotation marks.
pub(super) fn write_quoted(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
