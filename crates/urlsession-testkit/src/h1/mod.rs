//! Owns HTTP/1.1 on one connection (RFC 9112): requests in, scripts performed, keep-alive.

mod head;
mod incoming;
mod outgoing;

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::head::{Framing, Head};
use crate::gate::Gate;
use crate::hub::{Link, Open};
use crate::io::{End, Io};
use crate::reply::{After, Reply};
use crate::request::Recorded;
use crate::service::Cues;

/// The connection cannot be used further: why, in the terms of its end.
struct Broken(End);

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Self(End::Gone)
    }
}

struct Connection {
    io: Io,
    link: Link,
    /// Read from the connection and not consumed.
    buffer: BytesMut,
    /// A service follows the request that is being read.
    cues: Option<Cues>,
}

pub(crate) async fn serve(io: Io, link: Link, open: Open) {
    let mut connection = Connection { io, link, buffer: BytesMut::new(), cues: None };
    let end = connection.run().await;
    connection.io.end(end, open).await;
}

impl Connection {
    async fn run(&mut self) -> End {
        loop {
            match self.exchange().await {
                Ok(After::KeepAlive) => {}
                Ok(After::Close | After::SilentClose) => return End::Close { linger: false },
                Ok(After::Cut) => return End::Cut,
                Ok(After::HalfClose) => return End::Half,
                Ok(After::Reset) => return End::Reset,
                Ok(After::Echo) => return self.echo().await,
                Err(Broken(end)) => return end,
            }
        }
    }

    async fn echo(&mut self) -> End {
        loop {
            let bytes = self.buffer.split();
            let sent = async {
                self.io.write_all(&bytes).await?;
                self.io.flush().await
            };
            if sent.await.is_err() {
                return End::Gone;
            }
            match self.io.read_buf(&mut self.buffer).await {
                Ok(n) if n > 0 => {}
                _ => return End::Close { linger: false },
            }
        }
    }

    /// One request and its reply.
    async fn exchange(&mut self) -> Result<After, Broken> {
        let Some(block) = self.read_head().await? else { return Err(Broken(End::Gone)) };
        let parsed = Head::parse(&block).and_then(|head| Ok((head.framing()?, head)));
        let (framing, head) = match parsed {
            Ok(parsed) => parsed,
            Err(what) => return self.refuse(what).await,
        };
        let persistent = head.is_persistent();
        let id = self.link.hub.ledger.head(self.record(head));
        let Some(seen) = self.link.hub.ledger.peek(id) else { return Err(Broken(End::Gone)) };
        let mut scripted = self.link.hub.scripted(&seen.target);
        if let Some(reply) = &mut scripted {
            for (status, fields) in std::mem::take(&mut reply.informational) {
                self.send_informational(status, &fields).await?;
            }
        }
        if let Some(reply) = scripted.take_if(|reply| reply.early) {
            let reply = self.link.hub.resolve(reply, &seen);
            return self.answer_early(&seen, reply, persistent, framing).await;
        }
        if scripted.is_none() {
            self.cues = self.link.hub.service.as_ref().and_then(|service| service.begin(&seen));
        }
        let gate = scripted.as_mut().and_then(|reply| reply.read_gate.take());
        let Some(request) = self.read_request(id, framing, gate).await? else {
            return Err(Broken(End::Gone));
        };
        let reply = match (scripted, self.cues.take(), &self.link.hub.service) {
            (Some(reply), ..) => self.link.hub.resolve(reply, &request),
            (None, Some(_), Some(service)) => service.end(&request),
            _ => self.link.hub.answer(&request),
        };
        let after = self.perform(&request, reply, persistent).await?;
        self.link.hub.ledger.note(|j| j.replies += 1);
        Ok(after)
    }

    async fn answer_early(
        &mut self,
        seen: &Recorded,
        mut reply: Reply,
        persistent: bool,
        framing: Framing,
    ) -> Result<After, Broken> {
        let gate = reply.read_gate.take();
        let after = self.perform(seen, reply, persistent).await?;
        self.link.hub.ledger.note(|j| j.replies += 1);
        match after {
            // The rest of the body stands between this reply and the next request.
            After::KeepAlive => {
                self.read_request(seen.id, framing, gate).await?;
                Ok(after)
            }
            // Closing on unread bytes would reset the connection and could destroy the reply.
            After::Close | After::SilentClose => Err(Broken(End::Close { linger: true })),
            After::Cut | After::HalfClose | After::Reset | After::Echo => Ok(after),
        }
    }

    async fn read_request(
        &mut self,
        id: usize,
        framing: Framing,
        gate: Option<Gate>,
    ) -> Result<Option<Arc<Recorded>>, Broken> {
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let trailers = self.read_body(id, framing).await?;
        Ok(self.link.hub.ledger.finish(id, trailers))
    }

    /// The client broke the protocol: noted, answered with 400, closed.
    async fn refuse<T>(&mut self, what: String) -> Result<T, Broken> {
        self.link.hub.ledger.violation(what);
        let reply = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        self.io.write_all(reply).await?;
        self.io.flush().await?;
        Err(Broken(End::Close { linger: true }))
    }

    fn record(&self, head: Head) -> Recorded {
        let authority = head.field("host").map(str::to_owned);
        Recorded {
            id: 0,
            connection: self.link.index,
            stream: None,
            wire: self.link.wire,
            method: head.method,
            target: head.target,
            authority,
            headers: head.fields,
            body: Vec::new(),
            body_len: 0,
            body_is_pattern: true,
            trailers: Vec::new(),
            tls: self.link.tls.clone(),
        }
    }
}
