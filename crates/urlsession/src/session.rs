//! Sessions: what makes tasks, and what the tasks of one session have in common for the application.

mod publisher;
mod stores;
mod tasks;
mod url_session;

pub use self::publisher::{DataTaskPublisher, DataTaskValues};
pub use self::url_session::{SessionDelegate, Tasks, UrlSession};
