//! The streams of one worker: their frames come in through the inbox, and what is for their clients is
//! staged here, to be handed over once a turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;
use wharf_turn::{ClientPath, Output, Transport};
use wharf_udp::Turn;

use crate::counters::{Counter, Counters};
use crate::lane::{HangUp, Lane};
use crate::outbound::Source;
use crate::worker::{Drain, Worker};
use crate::{StreamEnd, StreamPath, StreamTransport};

/// Bytes of frames handled in one turn, so that streams do not starve the datagrams of others.
const TURN_BUDGET: usize = 256 << 10;

/// One connection.
struct Slot {
    path: ClientPath,
    lane: Arc<Lane>,
    staged: Vec<u8>,
    allocated: bool,
}

/// All streams of one worker.
#[derive(Default)]
pub(crate) struct Streams {
    /// By the number that a path has as its listener.
    slots: Slab<Slot>,
    by_path: HashMap<StreamPath, u32>,
    /// Those that have something to say; each is there once.
    ready: VecDeque<Arc<Lane>>,
    /// Those with something staged.
    unflushed: Vec<u32>,
    /// Those that have lost their allocation while the server drains.
    leaving: Vec<ClientPath>,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The stream of a path, if it is there still.
    fn find(&mut self, path: &ClientPath) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(path.listener as usize)?;
        (slot.path == *path).then_some(slot)
    }

    fn insert(&mut self, lane: &Arc<Lane>) -> ClientPath {
        let entry = self.slots.vacant_entry();
        let listener = entry.key() as u32;
        let StreamPath {
            transport,
            client,
            server,
        } = lane.path;
        let path = ClientPath {
            transport: match transport {
                StreamTransport::Tcp => Transport::Tcp,
                StreamTransport::Tls => Transport::Tls,
            },
            client,
            server,
            listener,
        };
        entry.insert(Slot {
            path,
            lane: Arc::clone(lane),
            staged: Vec::new(),
            allocated: false,
        });
        self.by_path.insert(lane.path, listener);
        lane.set_index(listener);
        path
    }

    fn remove(&mut self, path: &ClientPath, end: StreamEnd) {
        if self.find(path).is_some() {
            let slot = self.slots.remove(path.listener as usize);
            self.by_path.remove(&slot.lane.path);
            slot.lane.finish(slot.staged, end);
        }
    }

    /// A reply, which always finds room: the task reads no more while the queue is full.
    pub(crate) fn stage_reply(&mut self, path: &ClientPath, bytes: &[u8], counters: &Counters) {
        self.stage(path, [bytes, &[], &[]], counters, |_, _| true);
    }

    /// Relayed data, which is dropped when the queue is full.
    pub(crate) fn stage_data(&mut self, path: &ClientPath, parts: [&[u8]; 3], counters: &Counters) {
        self.stage(path, parts, counters, Lane::has_room_for);
    }

    fn stage(
        &mut self,
        path: &ClientPath,
        parts: [&[u8]; 3],
        counters: &Counters,
        fits: impl FnOnce(&Lane, usize) -> bool,
    ) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Some(slot) = self
            .find(path)
            .filter(|slot| fits(&slot.lane, slot.staged.len() + length))
        else {
            counters.add(Counter::StreamDropped, 1);
            return;
        };
        let is_first = slot.staged.is_empty();
        for part in parts {
            slot.staged.extend_from_slice(part);
        }
        counters.add(Counter::ToStreamFrames, 1);
        counters.add(Counter::ToStreamBytes, length as u64);
        if is_first {
            self.unflushed.push(path.listener);
        }
    }

    /// Hands over all that is staged.
    pub(crate) fn flush(&mut self) {
        for index in self.unflushed.drain(..) {
            if let Some(slot) = self.slots.get_mut(index as usize)
                && !slot.staged.is_empty()
            {
                slot.lane.send(std::mem::take(&mut slot.staged));
            }
        }
    }

    /// The server stops.
    pub(crate) fn finish(&mut self) {
        for slot in self.slots.drain() {
            slot.lane.finish(slot.staged, StreamEnd::Stopped);
        }
        for lane in self.ready.drain(..) {
            lane.finish(Vec::new(), StreamEnd::Stopped);
        }
    }
}

impl Worker {
    pub(crate) fn stream_is_ready(&mut self, lane: Arc<Lane>) {
        self.outbound.streams.ready.push_back(lane);
    }

    /// Handles what streams have brought, as much as a turn may; the rest has a turn of its own.
    pub(crate) fn read_streams(&mut self, turn: &mut Turn<'_>) {
        let mut handled = 0;
        while let Some(lane) = self.outbound.streams.ready.pop_front() {
            handled += self.read_stream(turn, &lane);
            if handled >= TURN_BUDGET && !self.outbound.streams.ready.is_empty() {
                self.inboxes[self.index].wake();
                return;
            }
        }
    }

    fn read_stream(&mut self, turn: &mut Turn<'_>, lane: &Arc<Lane>) -> usize {
        let taken = lane.take();
        let path = match taken.index {
            None => self.open_stream(turn, lane),
            Some(index) => match self.outbound.streams.slots.get(index as usize) {
                Some(slot) if Arc::ptr_eq(&slot.lane, lane) => slot.path,
                _ => return 0,
            },
        };
        let mut bytes = 0;
        for batch in &taken.batches {
            bytes += batch.bytes.len();
            self.counters
                .add(Counter::StreamFrames, batch.ends.len() as u64);
            self.counters
                .add(Counter::StreamBytes, batch.bytes.len() as u64);
            for range in batch.frames() {
                let frame = &batch.bytes[range];
                let output = self.core.handle_client(turn.now(), &path, frame);
                if matches!(output, Output::ToClient(_)) {
                    self.counters.add(Counter::HandedAcross, 1);
                }
                let source = Source::Copied {
                    bytes: frame,
                    tos: 0,
                };
                self.outbound.stage(turn, output, source, &self.counters);
                self.effects(turn);
            }
        }
        if let Some(why) = taken.hung_up {
            self.end_stream(turn, &path, StreamEnd::Closed, hung_up(why));
        }
        bytes
    }

    fn open_stream(&mut self, turn: &mut Turn<'_>, lane: &Arc<Lane>) -> ClientPath {
        let streams = &self.outbound.streams;
        let before = streams.by_path.get(&lane.path);
        if let Some(slot) = before.and_then(|index| streams.slots.get(*index as usize)) {
            let path = slot.path;
            self.end_stream(turn, &path, StreamEnd::Replaced, Counter::StreamsReplaced);
        }
        self.counters.add(Counter::StreamsOpened, 1);
        self.outbound.streams.insert(lane)
    }

    fn end_stream(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ClientPath,
        end: StreamEnd,
        counter: Counter,
    ) {
        self.core.handle_client_closed(path);
        self.effects(turn);
        self.outbound.streams.remove(path, end);
        self.counters.add(counter, 1);
    }

    /// An allocation of a stream was made, or has ended.
    pub(crate) fn stream_allocated(&mut self, path: &ClientPath, allocated: bool) {
        let streams = &mut self.outbound.streams;
        if let Some(slot) = streams.find(path) {
            slot.allocated = allocated;
            slot.lane.set_allocated(allocated);
            if !allocated && self.drain != Drain::No {
                streams.leaving.push(*path);
            }
        }
    }

    /// The server begins to drain: streams without an allocation end, after what they have brought is
    /// handled.
    pub(crate) fn drain_streams(&mut self, turn: &mut Turn<'_>) {
        while let Some(lane) = self.outbound.streams.ready.pop_front() {
            self.read_stream(turn, &lane);
        }
        let streams = &mut self.outbound.streams;
        let idle = streams.slots.iter().filter(|(_, slot)| !slot.allocated);
        streams.leaving.extend(idle.map(|(_, slot)| slot.path));
    }

    /// Ends the streams that have no allocation any more while the server drains.
    pub(crate) fn dismiss_streams(&mut self, turn: &mut Turn<'_>) {
        while let Some(path) = self.outbound.streams.leaving.pop() {
            if self.outbound.streams.find(&path).is_some() {
                self.end_stream(turn, &path, StreamEnd::Drained, Counter::StreamsDrained);
            }
        }
    }
}

fn hung_up(why: HangUp) -> Counter {
    match why {
        HangUp::Closed => Counter::StreamsClosed,
        HangUp::Failed => Counter::StreamsFailed,
        HangUp::Garbled => Counter::StreamsGarbled,
        HangUp::Idle => Counter::StreamsIdle,
        HangUp::Abandoned => Counter::StreamsAbandoned,
    }
}
