//! `RetryPolicy`: how often a load is tried again and after which pauses. Pure: the random number is passed in.
//! `run::retrying` makes the tries.

use std::time::Duration;

use http::StatusCode;

use crate::error::UrlError;

/// How often and when a load is tried again after a temporary failure. A number is a policy: `.retry(3)`.
///
/// # What is tried again
///
/// A load that failed with an error that [is retriable](UrlError::is_retriable), timeouts of the request included, or whose
/// response has one of these statuses:
///
/// | status | |
/// |---|---|
/// | 408 Request Timeout | RFC 9110 §15.5.9 |
/// | 429 Too Many Requests | RFC 6585 §4 |
/// | 502 Bad Gateway, 503 Service Unavailable, 504 Gateway Timeout | RFC 9110 §15.6.3 to §15.6.5 |
///
/// 500 is not among them: it does not say that the failure is temporary.
///
/// # What is not
///
/// - Requests whose method is not idempotent (RFC 9110 §9.2.2), such as POST and PATCH, unless the server cannot have
///   received the request, or [`assumes_idempotent`](field@Self::assumes_idempotent) permits the server to receive it
///   twice.
/// - Requests whose body can be read only once: a stream of a reader, or of a delegate. Bodies in memory and in files can
///   be sent again.
/// - A load whose own delegate has received a part of the body.
/// - A task that is cancelled, or whose session is invalidated.
///
/// # When
///
/// The pause before the first retry is random, between half of [`first_pause`](field@Self::first_pause) and all of it. It
/// doubles before each further try, up to [`longest_pause`](field@Self::longest_pause). With a `Retry-After` in the
/// response (RFC 9110 §10.2.3, seconds or a date) the pause is at least that long. If `Retry-After` is longer than
/// `longest_pause`, the load ends with this response and is not tried again.
///
/// All tries together take no longer than
/// [`timeout_interval_for_resource`](field@crate::Configuration::timeout_interval_for_resource): a pause that would end
/// after this time does not begin, and the load ends with the result of the last try. The timeout of the request starts
/// again for each try. A suspended task waits.
///
/// The task's [metrics](crate::metrics::TaskMetrics) contain the transactions of all tries, failed ones with their error.
/// During a pause, [`why_waiting`](crate::Task::why_waiting) returns [`Retry`](crate::tasks::WaitReason::Retry).
///
/// Extension: no counterpart in Apple's API.
///
/// ```no_run
/// use std::time::Duration;
/// use urlsession::tasks::RetryPolicy;
/// use urlsession::{UrlRequest, UrlSession};
///
/// # async fn load() -> urlsession::Result<()> {
/// let session = UrlSession::shared();
/// let (data, response) = session.data("https://example.com/").retry(3).await?;
///
/// // The server knows by the key whether it has seen a request.
/// let order = UrlRequest::post("https://example.com/orders")?.header("Idempotency-Key", "7").body("{}");
/// let policy = RetryPolicy::new(3).first_pause(Duration::from_millis(200)).assumes_idempotent(true);
/// session.data(order).retry(policy).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The maximum number of tries after the first.
    pub retries: u32,
    /// The longest pause before the first retry. Default: 1 second.
    pub first_pause: Duration,
    /// The longest pause before any retry, and the longest `Retry-After` that the load waits for. Default: 60 seconds.
    pub longest_pause: Duration,
    /// Whether the server may receive the request twice, whatever its method is, because it recognises repetitions or they
    /// do no harm. Default: `false`.
    pub assumes_idempotent: bool,
}

impl RetryPolicy {
    /// At most `retries` tries after the first, with the default pauses.
    pub fn new(retries: u32) -> Self {
        Self {
            retries,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            assumes_idempotent: false,
        }
    }

    /// The pause before the try that follows `tried` retries. `random` is any number up to the largest one.
    pub(super) fn pause(&self, tried: u32, random: u32) -> Duration {
        let factor = 1u32.checked_shl(tried).unwrap_or(u32::MAX);
        let half = self.first_pause.saturating_mul(factor).min(self.longest_pause) / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

setters! {
    impl RetryPolicy {
        retries: value u32,
        first_pause: value Duration,
        longest_pause: value Duration,
        assumes_idempotent: value bool,
    }
}

/// Same as [`RetryPolicy::new`].
impl From<u32> for RetryPolicy {
    fn from(retries: u32) -> Self {
        Self::new(retries)
    }
}

/// Whether a status says that the same request may succeed later.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 502..=504)
}

/// The state that a task with retries keeps in its core.
pub(super) struct RetryState {
    pub(super) policy: RetryPolicy,
    /// Whether a timeout of the request ends the try and not the task.
    pub(super) may_try_again: bool,
    /// The timeout of the try, which the try has not seen yet.
    pub(super) timed_out: Option<UrlError>,
}

impl RetryState {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, may_try_again: false, timed_out: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_half_to_whole_of_that() {
        let policy = RetryPolicy::new(9);
        let seconds = |tried, random| policy.pause(tried, random).as_secs_f64();
        for (tried, whole) in [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (40, 60.0)] {
            assert_eq!((seconds(tried, 0), seconds(tried, u32::MAX)), (whole / 2.0, whole), "{tried}");
        }
        let longest = RetryPolicy::new(1).first_pause(Duration::MAX).longest_pause(Duration::MAX);
        assert!(longest.pause(3, u32::MAX) > Duration::MAX / 2);
        assert_eq!(RetryPolicy::new(1).first_pause(Duration::ZERO).pause(0, 7), Duration::ZERO);
    }

    #[test]
    fn only_statuses_that_pass_are_temporary() {
        let temporary = (100..600).filter(|code| is_temporary(StatusCode::from_u16(*code).unwrap()));
        assert_eq!(temporary.collect::<Vec<_>>(), [408, 429, 502, 503, 504]);
    }
}
