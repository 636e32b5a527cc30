//! A response on its way (RFC 3261 §18.2.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use wharf_sip::destinations::Destination;
use wharf_sip::locate::Target;
use wharf_sip::pool::PoolKey;
use wharf_sip::route::{ResponseRoute, ResponseStep, SendFailure, SizeSwitch};
use wharf_sip::{EditError, OwnedHost, Priority, Span, Transport, Via};

use super::ManagerEvent;
use super::dress::scan;
use super::state::{Shared, Trouble};
use super::walk::{Hold, Walk};
use crate::{FlowRef, SendError, SipError};

/// How long ICMP may take to say that a datagram did not arrive: more than any path's round trip.
const ICMP_WAIT: Duration = Duration::from_secs(1);

/// A response on its way back, over one way after the other (RFC 3261 §18.2.2).
///
/// Its bytes are never changed, and it never changes its transport for its size.
pub struct Answering {
    shared: Arc<Shared>,
    /// The flow that its request came on.
    flow: FlowRef,
    message: Bytes,
    /// Its top Via.
    via: Span,
    steps: usize,
    /// The servers of sent-by.
    walk: Option<Walk>,
    hold: Option<Hold>,
    last: Option<SipError>,
}

impl Answering {
    pub(super) fn new(
        shared: &Arc<Shared>,
        flow: FlowRef,
        message: Bytes,
    ) -> Result<Self, SipError> {
        let via = scan(&message)?.via.ok_or(EditError::NoVia)?.top;
        Via::parse(via.of(&message)).map_err(EditError::Via)?;
        Ok(Self {
            shared: shared.clone(),
            flow,
            message,
            via,
            steps: 0,
            walk: None,
            hold: None,
            last: None,
        })
    }

    fn via(&self) -> Option<Via<'_>> {
        Via::parse(self.via.of(&self.message)).ok()
    }

    fn step(&self) -> Option<ResponseStep> {
        let (via, rules) = (self.via()?, self.shared.options.responses);
        // A Via that is wrong about connections does not take one away.
        let came = self.flow.flow.transport;
        let written = via.transport();
        let written = written.filter(|one| one.is_reliable() == came.is_reliable());
        let transport = written.unwrap_or(came);
        ResponseRoute::new(transport, via, rules).nth(self.steps)
    }

    /// Whether there is another way, should this one fail.
    fn may_go_on(&self) -> bool {
        self.walk.is_some() || self.step().is_some()
    }

    /// The next way: the flow that the response has gone over. Call it again when that has failed.
    ///
    /// # Errors
    /// There is no further way: why the last one failed. Or one that is there takes nothing at the moment:
    /// the response is not sent then, since it would overtake others.
    pub async fn next(&mut self) -> Result<FlowRef, SipError> {
        self.hold = None;
        loop {
            let tried = if self.walk.is_some() {
                self.walk().await?
            } else {
                let Some(step) = self.step() else {
                    let none = || SendError::FlowGone.into();
                    return Err(self.last.take().unwrap_or_else(none));
                };
                self.steps += 1;
                match step {
                    ResponseStep::Locate(target) => {
                        self.walk = Some(self.locate(target).await?);
                        continue;
                    }
                    step => self.direct(step).await,
                }
            };
            match tried {
                Ok(hold) => {
                    self.shared.counters.responses.add(1);
                    let flow = hold.flow;
                    self.hold = Some(hold);
                    return Ok(flow);
                }
                Err(trouble) if ends(&trouble) => return Err(trouble.error),
                Err(trouble) => {
                    self.last = Some(trouble.error.clone());
                    if let Some(walk) = &mut self.walk {
                        walk.trouble(trouble);
                    }
                }
            }
        }
    }

    /// S5, S6, S8, S9: to an address that is known.
    async fn direct(&self, step: ResponseStep) -> Result<Hold, Trouble> {
        let flow = match step {
            ResponseStep::Connect { transport, address } => {
                return self.hand(transport, address).await;
            }
            // RFC 3581 §4: from the address that the request was sent to.
            ResponseStep::Datagram { address, .. } => {
                FlowRef::datagrams(self.flow.flow.local, address)
            }
            ResponseStep::Connection | ResponseStep::Locate(_) => self.flow,
        };
        let handed = self.shared.hand_over(flow, &self.message, Priority::High);
        Ok(handed?)
    }

    /// S7, S10, S11: to the servers of sent-by (RFC 3263 §5).
    async fn locate(&self, target: Target) -> Result<Walk, SipError> {
        let switch = SizeSwitch {
            enabled: false,
            ..SizeSwitch::default()
        };
        let seed = fastrand::u64(..);
        Walk::begin(&self.shared, &[target], seed, self.message.len(), switch).await
    }

    async fn walk(&mut self) -> Result<Result<Hold, Trouble>, SipError> {
        let Some(walk) = &mut self.walk else {
            return Err(SendError::FlowGone.into());
        };
        let attempt = walk.next().await?.attempt;
        Ok(self.hand(attempt.transport, attempt.destination).await)
    }

    async fn hand(
        &self,
        transport: Transport,
        address: std::net::SocketAddr,
    ) -> Result<Hold, Trouble> {
        // Over TLS the other end is to prove the name in sent-by.
        let host = self.via().and_then(|via| OwnedHost::new(via.host).ok());
        let name = host.and_then(|host| host.name().cloned());
        let key = PoolKey {
            transport,
            address,
            domain: name.filter(|_| transport.is_secure()),
            local: None,
        };
        self.shared.hand(&key, &self.message, Priority::High).await
    }

    /// Completes when this way cannot come to anything any more: see [`Sending::lost`](crate::Sending::lost).
    pub async fn lost(&mut self) -> SendFailure {
        match &mut self.hold {
            Some(hold) => hold.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Sends it, and over UDP another way should ICMP say within a second that it did not arrive (S10).
    pub(super) async fn send(mut self) -> Result<FlowRef, SipError> {
        let flow = self.next().await?;
        if flow.flow.transport == Transport::Udp
            && self.may_go_on()
            && let Ok(place) = self.shared.memory.clone().try_acquire_owned()
        {
            tokio::spawn(async move {
                let _place = place;
                self.watch(flow).await;
            });
        }
        Ok(flow)
    }

    async fn watch(mut self, mut flow: FlowRef) {
        while timeout(ICMP_WAIT, self.lost()).await.is_ok() {
            let from = Destination {
                transport: flow.flow.transport,
                address: flow.flow.remote,
            };
            let Ok(next) = self.next().await else { return };
            self.shared.tell(ManagerEvent::ResponseRerouted { from });
            flow = next;
        }
    }
}

/// Whether no other way is to be tried: this one is there, and only full.
fn ends(trouble: &Trouble) -> bool {
    matches!(
        trouble.error,
        SipError::Send(SendError::Full | SendError::TooLarge(_)) | SipError::NotBegun
    )
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering")
            .field("flow", &self.flow)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}
