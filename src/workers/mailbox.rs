//! What a worker reads from its socket: work, free slots, and answers to what its code has asked the network.
//!
//! All of them come over the one socket in any order. A reader that waits for one kind keeps frames of the others.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::wire::frame::{self, Kind, Message, Work};
use sluicegate_engine::Network;

/// How often a wait for the network is interrupted to see whether the event still has time.
const SHORT_WAIT: Duration = Duration::from_millis(40);

/// Requests that are kept until the code has run, up to this number and this many bytes.
const MAX_UNSENT: usize = 16;
const MAX_UNSENT_BYTES: usize = 16 << 10;

/// The reading side of a worker's socket; and its writing side, as far as the network is concerned.
pub(super) struct Mailbox {
    reader: BufReader<Patient>,
    socket: &'static UnixStream,
    payload: Vec<u8>,
    /// WorkQueue to be transformed.
    pub(super) waiting: VecDeque<Work>,
    /// Output slots that are free.
    pub(super) free: Vec<u32>,
    answers: VecDeque<(u64, String)>,
    /// Whether the worker is to give back what it does not need.
    pub(super) trim: bool,
    /// Whether anything was asked since the supervisor was told to forget.
    asked: bool,
    /// What has not been sent, and how many requests are in it: those of a burst leave together, which wakes the supervisor
    /// once.
    out: Vec<u8>,
    unsent: usize,
}

/// A socket that is read as patiently as asked.
pub(super) struct Patient {
    socket: &'static UnixStream,
    patience: Cell<Patience>,
}

/// How long a read waits.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    UntilItComes,
    /// As long as the socket's timeout says, if it has one.
    Short,
    NotAtAll,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.patience.get() {
                Patience::NotAtAll => {
                    let read = rustix::net::recv(self.socket, &mut *buffer, rustix::net::RecvFlags::DONTWAIT);
                    read.map(|(read, _)| read).map_err(io::Error::from)
                }
                _ => (&mut &*self.socket).read(buffer),
            };
            match read {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && self.patience.get() == Patience::UntilItComes => {}
                other => return other,
            }
        }
    }
}

/// To be called before the walls are up, in a worker whose code may use the network: afterwards no option of the socket
/// can be changed.
pub(super) fn glance_while_waiting(socket: &UnixStream) -> io::Result<()> {
    socket.set_read_timeout(Some(SHORT_WAIT))
}

impl Mailbox {
    pub(super) fn new(socket: &'static UnixStream) -> Self {
        Self {
            reader: BufReader::new(Patient { socket, patience: Cell::new(Patience::UntilItComes) }),
            socket,
            payload: Vec::new(),
            waiting: VecDeque::new(),
            free: Vec::new(),
            answers: VecDeque::new(),
            trim: false,
            asked: false,
            out: Vec::new(),
            unsent: 0,
        }
    }

    /// Sends what has been asked. To be called before waiting for anything.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = (&mut &*self.socket).write_all(&self.out);
        self.out.clear();
        self.out.shrink_to(64 << 10);
        self.unsent = 0;
        sent
    }

    /// One frame as it is, before there is any work.
    pub(super) fn read(&mut self, payload: &mut Vec<u8>) -> io::Result<Option<Kind>> {
        self.flush()?;
        frame::read(&mut self.reader, payload)
    }

    /// Takes one frame; `false` when the supervisor is gone.
    pub(super) fn receive(&mut self) -> io::Result<bool> {
        self.flush()?;
        let kind = frame::read(&mut self.reader, &mut self.payload)?;
        match kind {
            Some(Kind::Work) => self.waiting.extend(Work::get(&self.payload)),
            Some(Kind::Free) => {
                if let Some(slot) = self.payload.first_chunk() {
                    self.free.push(u32::from_le_bytes(*slot));
                }
            }
            Some(Kind::Trim) => self.trim = true,
            Some(Kind::Answer) => {
                self.answers.extend(Message::get(&self.payload).map(|answer| (answer.id, answer.text.to_owned())));
                // Answers are large now and then; events' frames are not.
                self.payload.shrink_to(64 << 10);
            }
            _ => {}
        }
        Ok(kind.is_some())
    }
}

impl Mailbox {
    /// Whether a frame has begun to come; an error when the supervisor is gone. Only the first byte of a frame is waited
    /// for like this: the rest of it is on its way.
    fn look(&mut self, patience: Patience) -> io::Result<bool> {
        self.flush()?;
        if !self.reader.buffer().is_empty() {
            return Ok(true);
        }
        self.reader.get_ref().patience.set(patience);
        let came = self.reader.fill_buf().map(|bytes| !bytes.is_empty());
        self.reader.get_ref().patience.set(Patience::UntilItComes);
        match came {
            Ok(true) => Ok(true),
            Ok(false) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes all frames that are there, without waiting for any. An error when the supervisor is gone.
    pub(super) fn receive_ready(&mut self) -> io::Result<()> {
        while self.look(Patience::NotAtAll)? {
            self.receive()?;
        }
        Ok(())
    }

    /// Waits for a frame until this time and takes it. An error when the supervisor is gone.
    pub(super) fn receive_until(&mut self, until: Instant) -> io::Result<()> {
        loop {
            if self.look(Patience::Short)? {
                return self.receive().map(|_| ());
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Waits a moment for a frame and takes it; says whether there was one. An error when the supervisor is gone.
    pub(super) fn receive_soon(&mut self) -> io::Result<bool> {
        let came = self.look(Patience::Short)?;
        if came {
            self.receive()?;
        }
        Ok(came)
    }

    /// An answer that has come.
    pub(super) fn answer(&mut self) -> Option<(u64, String)> {
        self.answers.pop_front()
    }
}

impl Network for Mailbox {
    fn send(&mut self, id: u64, request: &str) -> Result<(), String> {
        Message { id, text: request }.put(Kind::Ask, &mut self.out);
        self.asked = true;
        self.unsent += 1;
        // An event that asks and then computes keeps only a few to itself.
        let full = self.unsent >= MAX_UNSENT || self.out.len() >= MAX_UNSENT_BYTES;
        if full { self.flush().map_err(|_| "the supervisor is gone".to_owned()) } else { Ok(()) }
    }

    fn wait(&mut self, over: &dyn Fn() -> bool) -> Option<(u64, String)> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Some(answer);
            }
            if over() {
                return None;
            }
            match self.look(Patience::Short) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => return None,
            }
            if !self.receive().ok()? {
                return None;
            }
        }
    }

    fn forget(&mut self) {
        self.answers.clear();
        if std::mem::take(&mut self.asked) {
            frame::put(&mut self.out, Kind::Forget, |_| {});
            // A supervisor that is gone is noticed where its frames are read.
            let _ = self.flush();
        }
    }
}
