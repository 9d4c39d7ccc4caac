//! The tasks a session makes: for a delegate, for a handler, and as futures.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::publisher::DataTaskPublisher;
use super::url_session::UrlSession;
use crate::body::MultipartForm;
use crate::error::{Result, UrlError};
use crate::message::{IntoUrlRequest, ResumeData, UrlRequest, UrlResponse};
use crate::task::{
    BytesFuture, Core, DataFuture, DataTask, DownloadFuture, DownloadOptions, DownloadTask, DownloadedFile,
    Handler, Payload, Style, Task, TaskKind, UploadFuture, UploadTask, open_resume_data, to_upload,
};

/// Data tasks.
impl UrlSession {
    /// A data task that reports its response and its data to the delegate. Created suspended.
    ///
    /// If the request is malformed or the session is invalidated, the task fails when it is resumed.
    #[doc(alias = "dataTask(with:)")]
    pub fn data_task(&self, request: impl IntoUrlRequest) -> DataTask {
        DataTask::of(self.task(request.into_url_request(), TaskKind::Data, None))
    }

    /// A data task that calls `handler` once, on the delegate queue, with body and response or with an error. After an error
    /// the task has the response, if one came. Created suspended.
    ///
    /// Of the delegate's methods, those for response, data and completion are not called for this task.
    #[doc(alias = "dataTask(with:completionHandler:)")]
    pub fn data_task_with_handler(
        &self,
        request: impl IntoUrlRequest,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> DataTask {
        let handler = Handler::Data(Box::new(handler));
        DataTask::of(self.task(request.into_url_request(), TaskKind::Data, Some(handler)))
    }

    /// Loads to memory: a future of body and response.
    #[doc(alias = "data(for:delegate:)")]
    #[doc(alias = "data(from:delegate:)")]
    #[doc(alias = "data(for:)")]
    #[doc(alias = "data(from:)")]
    pub fn data(&self, request: impl IntoUrlRequest) -> DataFuture {
        DataFuture::new(self.future(request.into_url_request(), TaskKind::Data))
    }

    /// Loads as a stream: a future of the stream of the body and the response.
    #[doc(alias = "bytes(for:delegate:)")]
    #[doc(alias = "bytes(from:delegate:)")]
    pub fn bytes(&self, request: impl IntoUrlRequest) -> BytesFuture {
        BytesFuture::new(self.future(request.into_url_request(), TaskKind::Data))
    }

    /// Loads to memory, any number of times: a value that is awaited or streamed, each time with a new task.
    #[doc(alias = "dataTaskPublisher(for:)")]
    pub fn data_task_publisher(&self, request: impl IntoUrlRequest) -> DataTaskPublisher {
        DataTaskPublisher::new(request, self.clone())
    }
}

/// Upload tasks. A body of the request itself is ignored. The method of the request is sent unchanged: an upload with `GET`
/// fails with [`DataLengthExceedsMaximum`](crate::UrlErrorCode::DataLengthExceedsMaximum).
impl UrlSession {
    /// An upload of data that reports its response and its data to the delegate. Created suspended.
    #[doc(alias = "uploadTask(with:from:)")]
    pub fn upload_task(&self, request: impl IntoUrlRequest, data: impl Into<Bytes>) -> UploadTask {
        let request = upload(request, Payload::Data(data.into()));
        UploadTask::of(self.task(request, TaskKind::Upload, None))
    }

    /// As [`upload_task`](Self::upload_task), with a handler as in [`data_task_with_handler`](Self::data_task_with_handler).
    #[doc(alias = "uploadTask(with:from:completionHandler:)")]
    pub fn upload_task_with_handler(
        &self,
        request: impl IntoUrlRequest,
        data: impl Into<Bytes>,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> UploadTask {
        let request = upload(request, Payload::Data(data.into()));
        UploadTask::of(self.task(request, TaskKind::Upload, Some(Handler::Data(Box::new(handler)))))
    }

    /// An upload of a file in its present state: if the file changes before it is sent, the task fails. Created suspended.
    ///
    /// If the file cannot be read, the task fails when it is resumed.
    #[doc(alias = "uploadTask(with:fromFile:)")]
    pub fn upload_task_from_file(&self, request: impl IntoUrlRequest, file: impl AsRef<Path>) -> UploadTask {
        let request = upload(request, Payload::File(file.as_ref()));
        UploadTask::of(self.task(request, TaskKind::Upload, None))
    }

    /// As [`upload_task_from_file`](Self::upload_task_from_file), with a handler.
    #[doc(alias = "uploadTask(with:fromFile:completionHandler:)")]
    pub fn upload_task_from_file_with_handler(
        &self,
        request: impl IntoUrlRequest,
        file: impl AsRef<Path>,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> UploadTask {
        let request = upload(request, Payload::File(file.as_ref()));
        UploadTask::of(self.task(request, TaskKind::Upload, Some(Handler::Data(Box::new(handler)))))
    }

    /// An upload of a stream. The delegate supplies it by [`need_new_body_stream`](crate::TaskDelegate::need_new_body_stream)
    /// each time the body has to be sent. Created suspended.
    #[doc(alias = "uploadTask(withStreamedRequest:)")]
    pub fn upload_task_with_streamed_request(&self, request: impl IntoUrlRequest) -> UploadTask {
        let request = upload(request, Payload::Stream);
        UploadTask::of(self.task(request, TaskKind::Upload, None))
    }

    /// An upload of a form, with its `Content-Type`. Created suspended.
    pub fn upload_task_from_form(&self, request: impl IntoUrlRequest, form: MultipartForm) -> UploadTask {
        let request = upload(request, Payload::Form(form));
        UploadTask::of(self.task(request, TaskKind::Upload, None))
    }

    /// As [`upload_task_from_form`](Self::upload_task_from_form), with a handler.
    pub fn upload_task_from_form_with_handler(
        &self,
        request: impl IntoUrlRequest,
        form: MultipartForm,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> UploadTask {
        let request = upload(request, Payload::Form(form));
        UploadTask::of(self.task(request, TaskKind::Upload, Some(Handler::Data(Box::new(handler)))))
    }

    /// Uploads data: a future of body and response.
    #[doc(alias = "upload(for:from:delegate:)")]
    #[doc(alias = "upload(for:from:)")]
    pub fn upload(&self, request: impl IntoUrlRequest, data: impl Into<Bytes>) -> UploadFuture {
        UploadFuture::new(self.future(upload(request, Payload::Data(data.into())), TaskKind::Upload))
    }

    /// Uploads a file in its present state: a future of body and response.
    #[doc(alias = "upload(for:fromFile:delegate:)")]
    #[doc(alias = "upload(for:fromFile:)")]
    pub fn upload_from_file(&self, request: impl IntoUrlRequest, file: impl AsRef<Path>) -> UploadFuture {
        UploadFuture::new(self.future(upload(request, Payload::File(file.as_ref())), TaskKind::Upload))
    }

    /// Uploads a form, with its `Content-Type`: a future of body and response.
    pub fn upload_from_form(&self, request: impl IntoUrlRequest, form: MultipartForm) -> UploadFuture {
        UploadFuture::new(self.future(upload(request, Payload::Form(form)), TaskKind::Upload))
    }
}

/// Uploads that continue earlier ones. Bytes that the server has are not sent again: the session first asks the server for
/// their number.
impl UrlSession {
    /// An upload with the method, URL and header fields of an earlier one, without credentials, and the rest of its body.
    /// Created suspended. Bytes that the server has count as sent.
    ///
    /// Takes [`ResumeData`] or its bytes. If the bytes cannot be used, the task fails when it is resumed, and
    /// [`resume_failure`](crate::UrlError::resume_failure) gives the reason:
    /// [`SourceChanged`](crate::ResumeFailure::SourceChanged) if the file is not the one it was. The task also fails if the
    /// server does not know the upload any more ([`Expired`](crate::ResumeFailure::Expired)). The delegate supplies the rest of
    /// a stream by [`need_new_body_stream_from`](crate::TaskDelegate::need_new_body_stream_from). Resume data may be used
    /// again: the server reports how much it has by then.
    #[doc(alias = "uploadTask(withResumeData:)")]
    pub fn upload_task_with_resume_data(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
    ) -> UploadTask {
        UploadTask::of(Task::of(self.resumed_upload(data, Style::Delegate, None)))
    }

    /// As [`upload_task_with_resume_data`](Self::upload_task_with_resume_data), with a handler.
    #[doc(alias = "uploadTask(withResumeData:completionHandler:)")]
    pub fn upload_task_with_resume_data_with_handler(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> UploadTask {
        let handler = Handler::Data(Box::new(handler));
        UploadTask::of(Task::of(self.resumed_upload(data, Style::Handler, Some(handler))))
    }

    /// As [`upload_task_with_resume_data`](Self::upload_task_with_resume_data): a future of body and response.
    pub fn upload_resume_from(&self, data: impl TryInto<ResumeData, Error: Into<UrlError>>) -> UploadFuture {
        UploadFuture::new(self.resumed_upload(data, Style::Future, None))
    }

    fn resumed_upload(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
        style: Style,
        handler: Option<Handler>,
    ) -> Arc<Core> {
        let (request, point) = match data.try_into().map_err(Into::into).and_then(open_resume_data) {
            Ok((request, point)) => (Ok(request), Some(point)),
            Err(error) => (Err(error), None),
        };
        let core = Core::new(&self.0.session, request, TaskKind::Upload, style, handler);
        if let Some(point) = point {
            core.take_up(point);
        }
        self.created(core)
    }
}

/// Download tasks.
impl UrlSession {
    /// A download that reports its progress and its file to the delegate. Created suspended.
    #[doc(alias = "downloadTask(with:)")]
    pub fn download_task(&self, request: impl IntoUrlRequest) -> DownloadTask {
        DownloadTask::of(self.task(request.into_url_request(), TaskKind::Download, None))
    }

    /// A download that calls `handler` once, on the delegate queue, with file and response or with an error. Created suspended.
    /// The file is removed when its value is dropped: [persist](DownloadedFile::persist) it.
    ///
    /// Of the delegate's methods, those for progress, file and completion are not called for this task.
    #[doc(alias = "downloadTask(with:completionHandler:)")]
    pub fn download_task_with_handler(
        &self,
        request: impl IntoUrlRequest,
        handler: impl FnOnce(Result<(DownloadedFile, UrlResponse)>) + Send + 'static,
    ) -> DownloadTask {
        let handler = Handler::File(Box::new(handler));
        DownloadTask::of(self.task(request.into_url_request(), TaskKind::Download, Some(handler)))
    }

    /// A download that continues an earlier one: with its request, without the secrets that were in it, to its destination, if
    /// it had one. Created suspended. It reports how many bytes it could keep to the delegate's
    /// [`did_resume_at_offset`](crate::TaskDelegate::did_resume_at_offset).
    ///
    /// Takes [`ResumeData`] or its bytes. If the bytes cannot be used, the task fails with
    /// [`UnsupportedUrl`](crate::UrlErrorCode::UnsupportedUrl) when it is resumed, and
    /// [`resume_failure`](crate::UrlError::resume_failure) gives the reason. If the server's resource or the partial file has
    /// changed meanwhile, the download begins anew. Resume data may be used again: while a task of it is running, another one
    /// fails with [`CannotOpenFile`](crate::UrlErrorCode::CannotOpenFile); after that task has completed, another one begins
    /// anew.
    #[doc(alias = "downloadTask(withResumeData:)")]
    pub fn download_task_with_resume_data(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
    ) -> DownloadTask {
        DownloadTask::of(Task::of(self.resumed(data, Style::Delegate, None)))
    }

    /// As [`download_task_with_resume_data`](Self::download_task_with_resume_data), with a handler as in
    /// [`download_task_with_handler`](Self::download_task_with_handler).
    #[doc(alias = "downloadTask(withResumeData:completionHandler:)")]
    pub fn download_task_with_resume_data_with_handler(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
        handler: impl FnOnce(Result<(DownloadedFile, UrlResponse)>) + Send + 'static,
    ) -> DownloadTask {
        let handler = Handler::File(Box::new(handler));
        DownloadTask::of(Task::of(self.resumed(data, Style::Handler, Some(handler))))
    }

    /// As [`download_task_with_resume_data`](Self::download_task_with_resume_data): a future of the file and the response. The
    /// response is that of the rest: 206 with a `Content-Range`, or 416 if nothing was missing.
    #[doc(alias = "download(resumeFrom:delegate:)")]
    pub fn download_resume_from(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
    ) -> DownloadFuture {
        DownloadFuture::new(self.resumed(data, Style::Future, None))
    }

    /// Loads to a file: a future of a temporary file and the response.
    #[doc(alias = "download(for:delegate:)")]
    #[doc(alias = "download(from:delegate:)")]
    pub fn download(&self, request: impl IntoUrlRequest) -> DownloadFuture {
        DownloadFuture::new(self.future(request.into_url_request(), TaskKind::Download))
    }
}

/// The code that all tasks share.
impl UrlSession {
    fn task(&self, request: Result<UrlRequest>, kind: TaskKind, handler: Option<Handler>) -> Task {
        let style = if handler.is_some() { Style::Handler } else { Style::Delegate };
        Task::of(self.core(request, kind, style, handler))
    }

    /// A task that is polled by its caller.
    pub(super) fn future(&self, request: Result<UrlRequest>, kind: TaskKind) -> Arc<Core> {
        self.core(request, kind, Style::Future, None)
    }

    fn core(
        &self,
        request: Result<UrlRequest>,
        kind: TaskKind,
        style: Style,
        handler: Option<Handler>,
    ) -> Arc<Core> {
        self.created(Core::new(&self.0.session, request, kind, style, handler))
    }

    fn resumed(
        &self,
        data: impl TryInto<ResumeData, Error: Into<UrlError>>,
        style: Style,
        handler: Option<Handler>,
    ) -> Arc<Core> {
        let (request, options) = match data.try_into().map_err(Into::into).and_then(DownloadOptions::resuming)
        {
            Ok((request, options)) => (Ok(request), Some(options)),
            Err(error) => (Err(error), None),
        };
        let core = Core::new(&self.0.session, request, TaskKind::Download, style, handler);
        if let Some(options) = options {
            core.set_download_options(options);
        }
        self.created(core)
    }

    fn created(&self, core: Arc<Core>) -> Arc<Core> {
        core.notify_created();
        core
    }
}

fn upload(request: impl IntoUrlRequest, payload: Payload<'_>) -> Result<UrlRequest> {
    to_upload(request.into_url_request()?, payload)
}
