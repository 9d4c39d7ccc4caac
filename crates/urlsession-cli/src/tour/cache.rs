//! Stop: a cache that says why.

use urlsession::{CachePolicy, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "A cache that says why",
    why: "Each transaction tells whether its answer came from the cache, and for what reason.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let answer = Reply::new(200).header("Cache-Control", "max-age=3600").header("ETag", "\"1\"").body("news");
    origin.enqueue("/news", answer);
    origin.enqueue("/news", Reply::new(304).header("ETag", "\"1\""));
    let session = UrlSession::new(trusting(&origin));
    let mut request = UrlRequest::new(origin.url("/news").parse()?);
    let (mut hits, mut bodies) = (Vec::new(), Vec::new());
    for policy in [
        CachePolicy::UseProtocolCachePolicy,
        CachePolicy::UseProtocolCachePolicy,
        CachePolicy::ReloadRevalidatingCacheData,
    ] {
        request.set_cache_policy(policy);
        let load = session.data(&request);
        let task = load.task();
        bodies.push(load.wait()?.0);
        let decision = task.metrics().and_then(|metrics| metrics.transaction_metrics.last()?.cache_decision);
        let decision = decision.ok_or("a transaction does not say what the cache did")?;
        page.say(format_args!("{policy:?}: cache: {decision}"));
        hits.push(decision.is_hit());
    }
    page.say("");
    ensure(hits == [false, true, false], "the second is served from the cache")?;
    ensure(bodies.iter().all(|body| body == "news"), "all three have the same body")?;
    ensure(origin.requests().len() == 2, "the server was asked twice")
}
