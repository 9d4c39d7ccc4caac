//! Loads, in each style of the API, as many at a time as asked for. A load that fails ends the program.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use urlsession::{
    AsyncBytes, BodyStream, Bytes, DelegateQueue, Task, TaskDelegate, Url, UrlError, UrlRequest, UrlSession,
};

use crate::figures::Samples;
use crate::options::{Mode, Options, Style};
use crate::usage::CpuTime;

/// A session and the loads to make with it. A clone is the same.
#[derive(Clone)]
pub struct Loads {
    session: UrlSession,
    options: Arc<Options>,
    finished: Option<Arc<Finished>>,
}

impl Loads {
    /// A session as the options say.
    pub fn new(options: Options) -> Result<Self, String> {
        let configuration = options.configuration()?;
        let finished = (options.style == Style::Delegate).then(Arc::<Finished>::default);
        let session = match &finished {
            Some(delegate) => {
                UrlSession::with_task_delegate(configuration, delegate.clone(), DelegateQueue::serial())
            }
            None => UrlSession::new(configuration),
        };
        Ok(Self { session, options: Arc::new(options), finished })
    }

    /// Makes `count` loads. Not to be called in a runtime: the asynchronous style starts one.
    pub fn run(&self, count: usize) -> Samples {
        match self.options.style {
            Style::Async => self.runtime().block_on(self.run_async(count)),
            Style::Wait => self.run_waiting(count),
            Style::Handler | Style::Delegate => self.run_called_back(count),
        }
    }

    /// The runtime the options ask for.
    pub fn runtime(&self) -> tokio::runtime::Runtime {
        let mut builder = match self.options.many_threads {
            true => tokio::runtime::Builder::new_multi_thread(),
            false => tokio::runtime::Builder::new_current_thread(),
        };
        or_die(builder.enable_all().build(), "starting a runtime")
    }

    /// Makes `count` loads in tasks of the runtime this is called in.
    pub async fn run_async(&self, count: usize) -> Samples {
        let begun = Arc::new(AtomicUsize::new(0));
        let workers = self.options.concurrency;
        let worker = || {
            let (loads, begun) = (self.clone(), begun.clone());
            tokio::spawn(async move {
                let mut samples = Samples::with_room(count / workers + 16);
                while begun.fetch_add(1, Relaxed) < count {
                    loads.make_way();
                    let cpu = loads.is_counted_alone().then(CpuTime::now);
                    let start = Instant::now();
                    let bytes = loads.one().await;
                    samples.record(start, bytes);
                    if let Some(cpu) = cpu {
                        samples.record_cpu(CpuTime::now().since(cpu).total());
                    }
                }
                samples
            })
        };
        let workers: Vec<_> = (0..workers).map(|_| worker()).collect();
        let mut all = Samples::with_room(count);
        for worker in workers {
            all.absorb(&or_die(worker.await, "a worker"));
        }
        all
    }

    /// To ask for the processor time costs more than small loads should.
    fn is_counted_alone(&self) -> bool {
        self.options.concurrency == 1 && self.options.mode != Mode::Get
    }

    /// Removes the file of the load before: that costs time which is not this load's.
    fn make_way(&self) {
        if let (Mode::Download, Some(path)) = (self.options.mode, &self.options.out) {
            // Mostly it is not there.
            let _ = std::fs::remove_file(path);
        }
    }

    async fn one(&self) -> u64 {
        let url = self.options.url.clone();
        match self.options.mode {
            Mode::Get => {
                let (data, response) = or_die(self.session.data(url).await, "a load");
                assert_eq!(response.status_code(), Some(200));
                data.len() as u64
            }
            Mode::Download => {
                let path = self.options.out.as_deref().unwrap_or_else(|| die("--out is missing"));
                let (file, response) = or_die(self.session.download(url).await, "a load");
                assert_eq!(response.status_code(), Some(200));
                let bytes = or_die(std::fs::metadata(file.path()), "looking at the file").len();
                or_die(file.persist(path), "moving the file");
                bytes
            }
            Mode::Upload => {
                let (data, response) = or_die(self.session.data(self.upload(url)).await, "an upload");
                assert_eq!(response.status_code(), Some(200), "{data:?}");
                data.len() as u64
            }
        }
    }

    fn upload(&self, url: Url) -> UrlRequest {
        let path = self.options.input.as_deref().unwrap_or_else(|| die("--in is missing"));
        let body = or_die(BodyStream::from_file(path), "opening the file");
        let mut request = UrlRequest::new(url);
        or_die(request.set_http_method("POST"), "the method");
        or_die(request.set_value("Content-Type", "application/octet-stream"), "a field");
        request.set_http_body_stream(body);
        request
    }

    /// The request of the styles that are not futures: a file is sent, but none written.
    fn request(&self) -> UrlRequest {
        match self.options.mode {
            Mode::Get => UrlRequest::new(self.options.url.clone()),
            Mode::Upload => self.upload(self.options.url.clone()),
            Mode::Download => die("downloads have the style async only"),
        }
    }

    fn run_waiting(&self, count: usize) -> Samples {
        let begun = AtomicUsize::new(0);
        let workers = self.options.concurrency;
        std::thread::scope(|scope| {
            let work = || {
                let mut samples = Samples::with_room(count / workers + 16);
                while begun.fetch_add(1, Relaxed) < count {
                    let start = Instant::now();
                    let (data, _) = or_die(self.session.data(self.request()).wait(), "a load");
                    samples.record(start, data.len() as u64);
                }
                samples
            };
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let mut all = Samples::with_room(count);
            for worker in workers {
                all.absorb(&worker.join().unwrap_or_else(|_| die("a worker panicked")));
            }
            all
        })
    }

    /// This thread begins a load for each one that ends, as an application's main thread would.
    fn run_called_back(&self, count: usize) -> Samples {
        let (sender, ended) = channel();
        if let Some(finished) = &self.finished {
            *finished.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        }
        let begin = |number: usize| {
            let sender = sender.clone();
            let task = match &self.finished {
                None => self.session.data_task_with_handler(self.request(), move |result| {
                    let (data, _) = or_die(result, "a load");
                    // The listener outlives every load.
                    let _ = sender.send((number as u64, data.len() as u64));
                }),
                Some(_) => self.session.data_task(self.request()),
            };
            let identifier = if self.finished.is_some() { task.task_identifier() } else { number as u64 };
            task.resume();
            (identifier, Instant::now())
        };
        let mut samples = Samples::with_room(count);
        let mut under_way: Vec<_> = (0..self.options.concurrency.min(count)).map(begin).collect();
        let mut begun = under_way.len();
        while samples.count() < count {
            let (identifier, bytes) = or_die(ended.recv(), "waiting for a load");
            let Some(at) = under_way.iter().position(|(known, _)| *known == identifier) else { continue };
            let (_, start) = under_way.swap_remove(at);
            samples.record(start, bytes);
            if begun < count {
                under_way.push(begin(begun));
                begun += 1;
            }
        }
        samples
    }
}

/// A session delegate that says which task has ended and how many bytes it got.
#[derive(Default)]
struct Finished {
    listener: Mutex<Option<Sender<(u64, u64)>>>,
}

impl TaskDelegate for Finished {
    fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
        if let Some(error) = error {
            die(&format!("a load: {error}"));
        }
        if let Some(listener) = &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody listens after the last load.
            let _ = listener.send((task.task_identifier(), task.count_of_bytes_received()));
        }
    }
}

/// The next chunk of a body; `None` at its end.
pub async fn next_chunk(body: &mut AsyncBytes) -> Option<Bytes> {
    let chunk = poll_fn(|cx| body.poll_chunk(cx)).await;
    chunk.transpose().unwrap_or_else(|error| die(&format!("a body: {error}")))
}

/// The value, or the end of the program with a message.
pub fn or_die<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| die(&format!("{what}: {error}")))
}

/// Ends the program with a message.
pub fn die(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1);
}
