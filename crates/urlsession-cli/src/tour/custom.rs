//! Stop: protocols of an application's own, one in place of the network and one in front of it.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;

use urlsession::protocols::{
    UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask,
};
use urlsession::{Configuration, HeaderMap, HttpUrlResponse, UrlRequest, UrlSession, Version};
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Protocols of your own",
    why: "An application can answer requests itself, for tests or schemes of its own, or change what others load.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let busy = Busy::default();
    let protocol_classes = vec![UrlProtocolClass::new(busy.clone())];
    let session = UrlSession::new(Configuration::ephemeral().protocol_classes(protocol_classes));
    let (body, response) = session.data("https://api.example/orders").wait()?;
    let status = response.status_code().unwrap_or_default();
    page.say(format_args!("no server, but an answer: {status} {:?}", String::from_utf8_lossy(&body)));
    ensure(status == 429 && &body[..] == b"come back later", "the protocol answers in place of the network")?;
    let heard = busy.0.lock().join(", ");
    page.say(format_args!("the protocol was told: {heard}"));
    ensure(heard == "start, stop", "every load that was started is stopped")?;

    let origin = Origin::start(Wire::TlsH2);
    let signing = UrlProtocolClass::new(Signing(UrlSession::new(trusting(&origin))));
    let session = UrlSession::new(trusting(&origin).protocol_classes([signing]));
    let (body, _) = session.data(origin.url("/Nepal")).wait()?;
    let sent = origin.requests().pop().ok_or("no request came")?;
    let signature = sent.header("x-signature").unwrap_or_default();
    page.say(format_args!(
        "from the server: {:?}, for a request signed {signature}",
        String::from_utf8_lossy(&body)
    ));
    page.say("");
    ensure(signature == "by the tour" && &body[..] == b"Kathmandu", "the protocol signs what others load")
}

/// Answers every request with 429, without a network.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Vec<&'static str>>>);

impl UrlProtocol for Busy {
    fn can_init(&self, _: &UrlRequest) -> bool {
        true
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        self.0.lock().push("start");
        Box::pin(async move {
            let url = client.request().url().clone();
            let Some(response) = HttpUrlResponse::new(url, 429, Version::HTTP_11, &HeaderMap::new()) else {
                return Ok(());
            };
            client.did_receive_response(response);
            client.did_load("come back later").await?;
            client.did_finish_loading();
            Ok(())
        })
    }

    fn stop_loading(&self, _: &UrlProtocolTask) {
        self.0.lock().push("stop");
    }
}

/// Signs every request and loads it through another session.
struct Signing(UrlSession);

impl UrlProtocol for Signing {
    fn can_init(&self, _: &UrlRequest) -> bool {
        true
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        let session = self.0.clone();
        Box::pin(async move {
            let mut request = client.request().clone();
            // A name and a value without line ends cannot be refused.
            let _ = request.set_value("X-Signature", "by the tour");
            let (mut bytes, response) = session.bytes(request).await?;
            client.did_receive_response(response);
            while let Some(chunk) = poll_fn(|cx| bytes.poll_chunk(cx)).await {
                client.did_load(chunk?).await?;
            }
            client.did_finish_loading();
            Ok(())
        })
    }
}
