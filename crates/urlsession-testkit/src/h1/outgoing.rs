//! Owns performing a script on an HTTP/1.1 connection: status lines, fields, chunks, byte by byte.

use std::fmt::Write as _;

use tokio::io::AsyncWriteExt;

use super::{Broken, Connection};
use crate::body::{Piece, Pieces};
use crate::io::End;
use crate::reply::{After, Framing, Kind, Reply, reason_of};
use crate::request::Recorded;

/// Output is gathered up to this size before it is written.
const GATHER: usize = 64 << 10;
/// The longest piece of a body; long bodies are written in such slices, uncopied.
const PIECE: usize = 256 << 10;

impl Connection {
    pub(super) async fn send_informational(
        &mut self,
        status: u16,
        fields: &[(String, String)],
    ) -> Result<(), Broken> {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason_of(status));
        push_fields(&mut head, fields);
        head.push_str("\r\n");
        self.put(head.as_bytes()).await
    }

    /// Performs the script; what it says about the connection afterwards.
    pub(super) async fn perform(
        &mut self,
        request: &Recorded,
        reply: Reply,
        persistent: bool,
    ) -> Result<After, Broken> {
        let mut after = reply.ending();
        if after == After::KeepAlive && !persistent {
            after = After::Close;
        } else if after == After::KeepAlive && self.link.hub.close_after_response {
            after = After::SilentClose;
        }
        for (status, fields) in &reply.informational {
            self.send_informational(*status, fields).await?;
        }
        for gate in &reply.gates {
            self.unless_gone(gate.pass()).await?;
        }
        if let Some(delay) = reply.delay {
            self.unless_gone(tokio::time::sleep(delay)).await?;
        }
        match &reply.kind {
            Kind::Stall => {
                self.unless_gone(std::future::pending::<()>()).await?;
                Ok(after)
            }
            Kind::Drop => Ok(after),
            Kind::Raw(bytes) => {
                self.put(bytes).await?;
                Ok(after)
            }
            Kind::Response | Kind::Routes => {
                let bodiless = reply.is_bodiless(&request.method);
                let head = head_of(&reply, after, bodiless);
                if bodiless {
                    self.put(head.as_bytes()).await?;
                    return Ok(after);
                }
                let whole = self.send_body(head.into_bytes(), reply).await?;
                let cut = !whole && after == After::KeepAlive;
                Ok(if cut { After::SilentClose } else { after })
            }
        }
    }

    /// Sends what is gathered so far and the body; `false` when the script cut it short.
    async fn send_body(&mut self, mut out: Vec<u8>, reply: Reply) -> Result<bool, Broken> {
        let chunked = reply.framing == Framing::Chunked;
        let mut pieces = Pieces::new(reply.body, reply.body_gates, reply.truncate, reply.gap);
        let whole = loop {
            match pieces.next(PIECE) {
                Piece::Data(data) => {
                    if chunked {
                        out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                    }
                    if data.len() >= GATHER {
                        self.io.write_all(&out).await?;
                        self.io.write_all(&data).await?;
                        out.clear();
                    } else {
                        out.extend_from_slice(&data);
                    }
                    if chunked {
                        out.extend_from_slice(b"\r\n");
                    }
                    if out.len() >= GATHER {
                        self.io.write_all(&out).await?;
                        out.clear();
                    }
                }
                Piece::Wait(gate) => {
                    self.put(&out).await?;
                    out.clear();
                    self.unless_gone(gate.pass()).await?;
                }
                Piece::Rest(gap) => {
                    self.put(&out).await?;
                    out.clear();
                    self.unless_gone(tokio::time::sleep(gap)).await?;
                }
                Piece::Cut => break false,
                Piece::End => break true,
            }
        };
        if chunked && whole {
            let mut end = String::from("0\r\n");
            push_fields(&mut end, &reply.trailers);
            end.push_str("\r\n");
            out.extend_from_slice(end.as_bytes());
        }
        self.put(&out).await?;
        Ok(whole)
    }

    /// Writes and flushes.
    async fn put(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.io.write_all(bytes).await.map_err(|_| Broken(End::Gone))?;
        Ok(self.io.flush().await?)
    }
}

fn head_of(reply: &Reply, after: After, bodiless: bool) -> String {
    let reason = reply.reason.as_deref().unwrap_or_else(|| reason_of(reply.status));
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
    push_fields(&mut head, &reply.headers);
    let framed = reply.has_header("content-length") || reply.has_header("transfer-encoding");
    // RFC 9110, 8.6: no Content-Length in 1xx and 204; in 304 only if it is that of the 200.
    let silent = matches!(reply.status, 100..=199 | 204) || (bodiless && reply.body.len() == 0);
    match reply.framing {
        Framing::Length if !framed && !silent => {
            // A String cannot fail to be written to.
            let _ = write!(head, "Content-Length: {}\r\n", reply.body.len());
        }
        Framing::Chunked if !framed && !silent => head.push_str("Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    if after == After::Close && !reply.has_header("connection") {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}

fn push_fields(head: &mut String, fields: &[(String, String)]) {
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
}
