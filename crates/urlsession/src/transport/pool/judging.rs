//! Which delegates decide about the server of a connection: in the dial that opens it, and before others use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::super::dial_progress::DialProgress;
use super::super::reservation::Requester;
use super::super::tls;
use super::host;
use crate::configuration::Configuration;
use crate::env::{RuntimeHandle, RuntimeId};
use crate::error::Result;
use crate::load::{BoxFuture, ConnectionChallengeHandler, DecidedBy, Decider, DialRecord, PeerRecord};
use crate::message::{AuthChallengeDisposition, HostId, UrlAuthenticationChallenge};

/// The runtime and requester of a connection, and the task that answers its challenges while it is made.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) runtime: RuntimeHandle,
    pub(super) requester: Requester,
    pub(super) challenger: Option<Arc<dyn ConnectionChallengeHandler>>,
    /// Of a dial.
    pub(super) progress: Option<DialProgress>,
}

impl Caller {
    /// How far the dial has come.
    pub(super) fn dial_record(&self) -> Option<Box<DialRecord>> {
        self.progress.as_ref().map(|progress| Box::new(progress.so_far()))
    }
}

impl host::RuntimeKey for Caller {
    type Id = RuntimeId;

    fn id(&self) -> RuntimeId {
        self.runtime.id()
    }

    fn requester(&self) -> &Requester {
        &self.requester
    }

    fn for_dial(&self) -> Self {
        Self { progress: Some(DialProgress::default()), ..self.clone() }
    }
}

/// Which delegates decide about the connections of the task of `challenger`.
pub(super) fn decider(challenger: Option<&dyn ConnectionChallengeHandler>) -> Decider {
    match challenger {
        None => Decider::Platform,
        Some(challenger) if challenger.is_of_task() => Decider::Task(challenger.task()),
        Some(challenger) => Decider::Session(challenger.task()),
    }
}

/// A challenger, and whether it was asked.
pub(super) struct Watched {
    challenger: Arc<dyn ConnectionChallengeHandler>,
    was_asked: AtomicBool,
}

impl Watched {
    pub(super) fn new(challenger: Arc<dyn ConnectionChallengeHandler>) -> Arc<Self> {
        Arc::new(Self { challenger, was_asked: AtomicBool::new(false) })
    }

    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Relaxed)
    }
}

impl ConnectionChallengeHandler for Watched {
    fn challenge(
        self: Arc<Self>,
        challenge: UrlAuthenticationChallenge,
    ) -> BoxFuture<'static, (AuthChallengeDisposition, DecidedBy)> {
        self.was_asked.store(true, Relaxed);
        self.challenger.clone().challenge(challenge)
    }

    fn task(&self) -> u64 {
        self.challenger.task()
    }

    fn is_of_task(&self) -> bool {
        self.challenger.is_of_task()
    }
}

/// Lets the delegates of the challenger's task decide about the server of a connection that others have made.
pub(super) async fn judge(
    config: &Configuration,
    address: (HostId<'_>, u16),
    peer: &PeerRecord,
    (challenger, decider): (&Arc<dyn ConnectionChallengeHandler>, Decider),
) -> Result<()> {
    tls::judge_again(config, address, &peer.trust, challenger).await?;
    peer.add_judge(decider);
    Ok(())
}
