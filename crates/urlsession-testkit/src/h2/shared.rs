//! Owns what reader and responders of an HTTP/2 connection share: send windows, open streams, the queues.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::frame::{self, DATA, DEFAULT_FRAME, END_STREAM};
use super::writer::{Out, Queues};
use super::{DEFAULT_WINDOW, MAX_WINDOW};
use crate::hub::Link;
use crate::io::End;

/// How many frames may be queued before responders wait.
const QUEUE: usize = 32;
/// No DATA frame is longer, whatever the client allows.
const FRAME_CAP: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) link: Link,
    data: mpsc::Sender<Out>,
    control: mpsc::UnboundedSender<Out>,
    state: Arc<(Mutex<State>, Notify)>,
}

struct State {
    /// What the client lets the connection send.
    window: i64,
    /// What the client's settings let a new stream send.
    initial: i64,
    max_frame: usize,
    streams: HashMap<u32, Stream>,
    /// The newest stream the client opened.
    newest: u32,
    /// The last stream of the GOAWAY that was sent.
    last: Option<u32>,
    /// Streams the server reset: the client's frames may have crossed that.
    cut: HashSet<u32>,
}

#[derive(Default)]
struct Stream {
    window: i64,
    /// The client's half has ended.
    heard: bool,
    /// The server's last frame is about to be queued: the client may count the stream closed from now on.
    ending: bool,
    /// The server's half has ended.
    said: bool,
    responder: Option<AbortHandle>,
}

/// The stream was reset, or its connection is ending.
#[derive(Debug)]
pub(super) struct Stopped;

/// The client raised a window above its limit.
#[derive(Debug)]
pub(super) struct Overflow;

impl Shared {
    pub(super) fn new(link: Link) -> (Self, Queues) {
        let (data, data_queue) = mpsc::channel(QUEUE);
        let (control, control_queue) = mpsc::unbounded_channel();
        let window = i64::from(DEFAULT_WINDOW);
        let state = State {
            window,
            initial: window,
            max_frame: DEFAULT_FRAME,
            streams: HashMap::new(),
            newest: 0,
            last: None,
            cut: HashSet::new(),
        };
        let state = Arc::new((Mutex::new(state), Notify::new()));
        (Self { link, data, control, state }, Queues { data: data_queue, control: control_queue })
    }

    /// Queues frames that must not wait.
    pub(super) fn urgent(&self, frames: Vec<u8>) {
        // The writer is gone only when the connection is.
        let _ = self.control.send(Out::Bytes(frames));
    }

    /// Ends the connection after what is urgent, dropping what is not.
    pub(super) fn end_now(&self, end: End) {
        let _ = self.control.send(Out::End(end));
    }

    /// Queues behind everything said so far.
    pub(super) async fn queue(&self, out: Out) -> Result<(), Stopped> {
        self.data.send(out).await.map_err(|_| Stopped)
    }

    pub(super) fn max_frame(&self) -> usize {
        self.lock().max_frame
    }

    /// How many streams the client may think are open.
    pub(super) fn open_streams(&self) -> usize {
        self.lock().streams.values().filter(|s| !(s.heard && s.ending)).count()
    }

    pub(super) fn newest(&self) -> u32 {
        self.lock().newest
    }

    /// Whether the stream came after the last one a GOAWAY promised to serve.
    pub(super) fn is_refused(&self, stream: u32) -> bool {
        self.lock().last.is_some_and(|last| stream > last)
    }

    pub(super) fn seen(&self, stream: u32) {
        self.lock().newest = stream;
    }

    pub(super) fn open(&self, stream: u32) {
        let mut state = self.lock();
        let window = state.initial;
        state.streams.insert(stream, Stream { window, ..Stream::default() });
    }

    pub(super) fn attach(&self, stream: u32, responder: AbortHandle) {
        if let Some(stream) = self.lock().streams.get_mut(&stream) {
            stream.responder = Some(responder);
        }
    }

    /// The client's half of the stream has ended.
    pub(super) fn heard(&self, stream: u32) {
        self.close_half(stream, |s| s.heard = true);
    }

    /// The server's last frame of the stream comes next.
    pub(super) fn ending(&self, stream: u32) {
        if let Some(stream) = self.lock().streams.get_mut(&stream) {
            stream.ending = true;
        }
    }

    /// The server's half of the stream has ended.
    pub(super) fn said(&self, stream: u32) {
        self.close_half(stream, |s| s.said = true);
    }

    fn close_half(&self, id: u32, half: impl FnOnce(&mut Stream)) {
        let mut state = self.lock();
        let Some(stream) = state.streams.get_mut(&id) else { return };
        half(stream);
        if stream.heard && stream.said {
            state.streams.remove(&id);
            self.end_if_drained(&state);
        }
    }

    /// Resets the stream in the order of its other frames. Its responder, if it is not the caller, stops.
    pub(super) async fn reset(&self, stream: u32, code: u32) -> Result<(), Stopped> {
        self.lock().cut.insert(stream);
        self.queue(Out::Bytes(frame::rst_stream(stream, code))).await?;
        self.forget(stream);
        Ok(())
    }

    /// Resets the stream ahead of everything queued.
    pub(super) fn reset_now(&self, stream: u32, code: u32) {
        self.lock().cut.insert(stream);
        self.urgent(frame::rst_stream(stream, code));
        self.forget(stream);
    }

    /// Whether the server reset the stream.
    pub(super) fn was_cut(&self, stream: u32) -> bool {
        self.lock().cut.contains(&stream)
    }

    /// Forgets a stream that was reset by either side and stops its responder.
    pub(super) fn forget(&self, stream: u32) {
        let mut state = self.lock();
        if let Some(gone) = state.streams.remove(&stream) {
            gone.stop();
            self.end_if_drained(&state);
        }
        drop(state);
        self.state.1.notify_waiters();
    }

    pub(super) fn abort_all(&self) {
        for (_, stream) in self.lock().streams.drain() {
            stream.stop();
        }
        self.state.1.notify_waiters();
    }

    /// Sends GOAWAY, behind what is queued; streams after `last` are dropped, and the connection closes when
    /// the others are done.
    pub(super) async fn go_away(&self, last: u32) -> Result<(), Stopped> {
        self.queue(Out::Bytes(frame::goaway(last, frame::NO_ERROR, ""))).await?;
        let mut state = self.lock();
        state.last = Some(state.last.map_or(last, |before| before.min(last)));
        let dropped: Vec<u32> = state.streams.keys().copied().filter(|id| *id > last).collect();
        let stopped: Vec<Stream> = dropped.iter().filter_map(|id| state.streams.remove(id)).collect();
        self.end_if_drained(&state);
        drop(state);
        // The caller may be the responder of one of them: it is stopped at its next wait, not here.
        stopped.into_iter().for_each(Stream::stop);
        Ok(())
    }

    fn end_if_drained(&self, state: &State) {
        if state.last.is_some() && state.streams.is_empty() {
            let data = self.data.clone();
            tokio::spawn(async move {
                // The connection may have ended by itself meanwhile.
                let _ = data.send(Out::End(End::Close { linger: true })).await;
            });
        }
    }

    /// Applies the client's SETTINGS_INITIAL_WINDOW_SIZE, to open streams too (RFC 9113, 6.9.2).
    pub(super) fn set_initial_window(&self, value: u32) -> Result<(), Overflow> {
        let mut state = self.lock();
        let change = i64::from(value) - state.initial;
        state.initial = i64::from(value);
        for stream in state.streams.values_mut() {
            stream.window += change;
            if stream.window > i64::from(MAX_WINDOW) {
                return Err(Overflow);
            }
        }
        drop(state);
        self.state.1.notify_waiters();
        Ok(())
    }

    pub(super) fn set_max_frame(&self, value: usize) {
        self.lock().max_frame = value;
    }

    /// Applies a WINDOW_UPDATE; stream 0 is the connection.
    pub(super) fn credit(&self, stream: u32, increment: u32) -> Result<(), Overflow> {
        let mut state = self.lock();
        let window = match stream {
            0 => Some(&mut state.window),
            _ => state.streams.get_mut(&stream).map(|s| &mut s.window),
        };
        // A stream that is closed already may still be credited, to no effect.
        if let Some(window) = window {
            *window += i64::from(increment);
            if *window > i64::from(MAX_WINDOW) {
                return Err(Overflow);
            }
        }
        drop(state);
        self.state.1.notify_waiters();
        Ok(())
    }

    /// Sends body bytes as the windows allow.
    pub(super) async fn send_data(&self, id: u32, mut data: Bytes, end: bool) -> Result<(), Stopped> {
        loop {
            let space = self.reserve(id, data.len()).await?;
            let part = data.split_to(space);
            let last = data.is_empty();
            let flags = if end && last { END_STREAM } else { 0 };
            self.queue(Out::Frame(frame::head(part.len(), DATA, flags, id), part)).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Takes up to `wanted` bytes out of both windows, waiting for at least one.
    async fn reserve(&self, id: u32, wanted: usize) -> Result<usize, Stopped> {
        loop {
            // Made before the look at the windows, so that no credit in between is missed.
            let credited = self.state.1.notified();
            {
                let mut state = self.lock();
                let (connection, max_frame) = (state.window, state.max_frame.min(FRAME_CAP));
                let stream = state.streams.get_mut(&id).ok_or(Stopped)?;
                let allowed = usize::try_from(connection.min(stream.window)).unwrap_or(0);
                let space = wanted.min(allowed).min(max_frame);
                if space > 0 || wanted == 0 {
                    stream.window -= space as i64;
                    state.window -= space as i64;
                    return Ok(space);
                }
            }
            credited.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn stop(self) {
        if let Some(responder) = self.responder {
            responder.abort();
        }
    }
}
