//! An `Arc` of a delegate is a delegate: a task and its application share one. It only forwards calls.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::decision::Decision;
use super::{ResponseDisposition, TaskDelegate};
use crate::error::UrlError;
use crate::message::{
    AuthChallengeDisposition, BodyStream, CachedUrlResponse, HttpUrlResponse, UrlAuthenticationChallenge,
    UrlRequest, UrlResponse,
};
use crate::task::handle::Task;
use crate::task::kinds::handles::{DataTask, DownloadTask};
use crate::task::kinds::stream::StreamTask;
use crate::task::metrics::TaskMetrics;

/// The methods of [`TaskDelegate`] for a type that dereferences to one. The caller imports the types that the methods use.
macro_rules! forward_to_task_delegate {
    () => {
        fn did_create_task(&self, task: &Task) {
            (**self).did_create_task(task);
        }

        fn task_is_waiting_for_connectivity(&self, task: &Task) {
            (**self).task_is_waiting_for_connectivity(task);
        }

        fn will_perform_http_redirection(
            &self,
            task: &Task,
            response: &HttpUrlResponse,
            new_request: UrlRequest,
        ) -> Decision<Option<UrlRequest>> {
            (**self).will_perform_http_redirection(task, response, new_request)
        }

        fn did_receive_challenge(
            &self,
            task: &Task,
            challenge: &UrlAuthenticationChallenge,
        ) -> Decision<AuthChallengeDisposition> {
            (**self).did_receive_challenge(task, challenge)
        }

        fn need_new_body_stream(&self, task: &Task) -> Decision<Option<BodyStream>> {
            (**self).need_new_body_stream(task)
        }

        fn need_new_body_stream_from(&self, task: &Task, offset: u64) -> Decision<Option<BodyStream>> {
            (**self).need_new_body_stream_from(task, offset)
        }

        fn did_send_body_data(
            &self,
            task: &Task,
            bytes_sent: u64,
            total_bytes_sent: u64,
            total_bytes_expected_to_send: Option<u64>,
        ) {
            (**self).did_send_body_data(task, bytes_sent, total_bytes_sent, total_bytes_expected_to_send);
        }

        fn did_receive_informational_response(&self, task: &Task, response: &HttpUrlResponse) {
            (**self).did_receive_informational_response(task, response);
        }

        fn did_receive_response(
            &self,
            task: &DataTask,
            response: &UrlResponse,
        ) -> Decision<ResponseDisposition> {
            (**self).did_receive_response(task, response)
        }

        fn did_receive_data(&self, task: &DataTask, data: Bytes) {
            (**self).did_receive_data(task, data);
        }

        fn will_cache_response(
            &self,
            task: &DataTask,
            proposed: CachedUrlResponse,
        ) -> Decision<Option<CachedUrlResponse>> {
            (**self).will_cache_response(task, proposed)
        }

        fn did_become_download_task(&self, task: &DataTask, download: &DownloadTask) {
            (**self).did_become_download_task(task, download);
        }

        fn did_become_stream_task(&self, task: &DataTask, stream: &StreamTask) {
            (**self).did_become_stream_task(task, stream);
        }

        fn did_write_data(
            &self,
            task: &DownloadTask,
            bytes_written: u64,
            total_bytes_written: u64,
            total_bytes_expected_to_write: Option<u64>,
        ) {
            (**self).did_write_data(task, bytes_written, total_bytes_written, total_bytes_expected_to_write);
        }

        fn did_resume_at_offset(&self, task: &DownloadTask, offset: u64, expected_total_bytes: Option<u64>) {
            (**self).did_resume_at_offset(task, offset, expected_total_bytes);
        }

        fn need_new_download_request(
            &self,
            task: &DownloadTask,
            response: &HttpUrlResponse,
        ) -> Decision<Option<UrlRequest>> {
            (**self).need_new_download_request(task, response)
        }

        fn did_finish_downloading(&self, task: &DownloadTask, location: &Path) {
            (**self).did_finish_downloading(task, location);
        }

        fn read_closed(&self, task: &StreamTask) {
            (**self).read_closed(task);
        }

        fn write_closed(&self, task: &StreamTask) {
            (**self).write_closed(task);
        }

        fn did_finish_collecting_metrics(&self, task: &Task, metrics: &TaskMetrics) {
            (**self).did_finish_collecting_metrics(task, metrics);
        }

        fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
            (**self).did_complete(task, error);
        }
    };
}

pub(crate) use forward_to_task_delegate;

impl<D: TaskDelegate> TaskDelegate for Arc<D> {
    forward_to_task_delegate!();

    fn into_shared_task_delegate(self) -> Arc<dyn TaskDelegate>
    where
        Self: Sized + 'static,
    {
        self
    }
}

impl TaskDelegate for Arc<dyn TaskDelegate> {
    forward_to_task_delegate!();

    fn into_shared_task_delegate(self) -> Arc<dyn TaskDelegate> {
        self
    }
}
