//! Quoted strings, written (RFC 9110 §5.6.4).

/// Appends `value` in quotation marks.
pub(super) fn write_quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
