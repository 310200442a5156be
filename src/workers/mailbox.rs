//! Everything that a worker reads from its socket: work, free slots, and answers to network requests of its code.
//!
//! All frames come over one socket in any order. A reader that waits for one kind keeps the frames of the other kinds.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::wire::frame::{self, Kind, Message, Work};
use sluicegate_engine::Network;

/// The longest wait for the network before the event's remaining time is checked.
const SHORT_WAIT: Duration = Duration::from_millis(40);

/// The most requests, and bytes of requests, that are kept until the code has run.
const MAX_UNSENT: usize = 16;
const MAX_UNSENT_BYTES: usize = 16 << 10;

/// The reading side of a worker's socket, and the writing side for network requests.
pub(super) struct Mailbox {
    reader: BufReader<Patient>,
    socket: &'static UnixStream,
    payload: Vec<u8>,
    /// Work that has not begun.
    pub(super) waiting: VecDeque<Work>,
    /// Output slots that are free.
    pub(super) free: Vec<u32>,
    answers: VecDeque<(u64, String)>,
    /// Whether the worker is to release memory that it does not need.
    pub(super) trim: bool,
    /// Whether any request was sent since the supervisor was last asked to forget all requests.
    has_sent: bool,
    /// Unsent frames and the number of requests in them. Requests of a burst are sent together, which wakes the
    /// supervisor once.
    out: Vec<u8>,
    unsent: usize,
}

/// A socket with a choice of how long a read waits.
pub(super) struct Patient {
    socket: &'static UnixStream,
    patience: Cell<Patience>,
}

/// How long a read waits.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    UntilItComes,
    /// As long as the socket's timeout, if it has one.
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

/// Sets the socket's timeout. Must be called before the sandbox is set up, in a worker whose code may use the network:
/// the sandbox does not allow changes of socket options.
pub(super) fn set_read_timeout(socket: &UnixStream) -> io::Result<()> {
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
            has_sent: false,
            out: Vec::new(),
            unsent: 0,
        }
    }

    /// Sends the unsent requests. Call it before any wait.
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

    /// Reads one raw frame. Used before there is any work.
    pub(super) fn read(&mut self, payload: &mut Vec<u8>) -> io::Result<Option<Kind>> {
        self.flush()?;
        frame::read(&mut self.reader, payload)
    }

    /// Reads and stores one frame. Returns `false` if the supervisor is gone.
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
                // Answers are sometimes large; the frames of events are not.
                self.payload.shrink_to(64 << 10);
            }
            _ => {}
        }
        Ok(kind.is_some())
    }
}

impl Mailbox {
    /// Waits for the start of a frame. Returns an error if the supervisor is gone. Only the first byte of a frame is
    /// awaited with a timeout: the rest follows at once.
    fn wait_for_frame(&mut self, patience: Patience) -> io::Result<bool> {
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

    /// Reads all frames that have arrived, without waiting. Returns an error if the supervisor is gone.
    pub(super) fn receive_ready(&mut self) -> io::Result<()> {
        while self.wait_for_frame(Patience::NotAtAll)? {
            self.receive()?;
        }
        Ok(())
    }

    /// Waits for a frame until this time, and reads it. Returns an error if the supervisor is gone.
    pub(super) fn receive_until(&mut self, until: Instant) -> io::Result<()> {
        loop {
            if self.wait_for_frame(Patience::Short)? {
                return self.receive().map(|_| ());
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Waits briefly for a frame, and reads it. Returns whether a frame came, or an error if the supervisor is gone.
    pub(super) fn receive_soon(&mut self) -> io::Result<bool> {
        let came = self.wait_for_frame(Patience::Short)?;
        if came {
            self.receive()?;
        }
        Ok(came)
    }

    /// Takes an answer that has arrived.
    pub(super) fn answer(&mut self) -> Option<(u64, String)> {
        self.answers.pop_front()
    }
}

impl Network for Mailbox {
    fn send(&mut self, id: u64, request: &str) -> Result<(), String> {
        Message { id, text: request }.put(Kind::Ask, &mut self.out);
        self.has_sent = true;
        self.unsent += 1;
        // The limit keeps an event that sends requests and then computes from delaying many of them.
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
            match self.wait_for_frame(Patience::Short) {
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
        if std::mem::take(&mut self.has_sent) {
            frame::put(&mut self.out, Kind::Forget, |_| {});
            // The reading side notices when the supervisor is gone.
            let _ = self.flush();
        }
    }
}
