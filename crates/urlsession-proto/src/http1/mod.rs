//! HTTP/1.1 on the wire (RFC 9112): heads, framings, bodies, persistence. Owns no buffer and no connection: each
//! function looks at the bytes it is lent and says how many of them it took.

mod body;
mod chunked;
mod framing;
mod head;
mod repair;
mod request;
mod reuse;

pub use body::{BodyDecoder, BodyError, Step};
pub use framing::{Framing, FramingError, announced_length, response_framing};
pub(crate) use head::parse_fields;
pub use head::{HeadError, HeadLimits, HeadScanner, ResponseHead, parse_response, reason};
pub use request::{
    end_head, write_chunk_size, write_field, write_field_in_title_case, write_last_chunk, write_request_line,
    write_u64,
};
pub use reuse::{CloseReason, KeepAlive, keep_alive, proxy_closes};
