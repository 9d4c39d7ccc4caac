//! A delegate that passes everything it is told to whoever holds the other end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use urlsession::metrics::TaskMetrics;
use urlsession::{
    Bytes, DataTask, Decision, HttpUrlResponse, ResponseDisposition, Task, TaskDelegate, UrlError,
    UrlRequest, UrlResponse,
};

use super::PATIENCE;

/// What a delegate is told.
pub(super) enum Event {
    Redirect(HttpUrlResponse, Box<UrlRequest>),
    Informational(HttpUrlResponse),
    Response(UrlResponse),
    Data(Bytes),
    Metrics(TaskMetrics),
    Complete(Option<UrlError>),
}

/// The delegate.
#[derive(Clone)]
pub(super) struct Witness(Sender<Event>);

/// The other end.
pub(super) struct Testimony(Receiver<Event>);

impl Witness {
    pub(super) fn new() -> (Self, Testimony) {
        let (sender, receiver) = channel();
        (Self(sender), Testimony(receiver))
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more: then nobody misses it.
        let _ = self.0.send(event);
    }
}

impl Testimony {
    /// The next event.
    pub(super) fn next(&self) -> Result<Event, RecvTimeoutError> {
        self.0.recv_timeout(PATIENCE)
    }

    /// The metrics, past everything before them.
    pub(super) fn metrics(&self) -> Result<TaskMetrics, RecvTimeoutError> {
        loop {
            if let Event::Metrics(metrics) = self.next()? {
                return Ok(metrics);
            }
        }
    }
}

impl TaskDelegate for Witness {
    fn will_perform_http_redirection(
        &self,
        _: &Task,
        response: &HttpUrlResponse,
        new_request: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        self.tell(Event::Redirect(response.clone(), Box::new(new_request.clone())));
        Decision::now(Some(new_request))
    }

    fn did_receive_informational_response(&self, _: &Task, response: &HttpUrlResponse) {
        self.tell(Event::Informational(response.clone()));
    }

    fn did_receive_response(&self, _: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        self.tell(Event::Response(response.clone()));
        Decision::now(ResponseDisposition::Allow)
    }

    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.tell(Event::Data(data));
    }

    fn did_finish_collecting_metrics(&self, _: &Task, metrics: &TaskMetrics) {
        self.tell(Event::Metrics(metrics.clone()));
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.tell(Event::Complete(error.cloned()));
    }
}
