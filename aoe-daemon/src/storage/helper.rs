//! A thread for each file or device that needs one: for what io_uring can't do, or may not.

use super::operation::{Done, Kind, Operation};
use super::store::Store;
use super::{Edited, ParkedEdit};
use crate::mailbox::{Mailbox, Message};
use crate::record::Record;
use rustix::io::{Errno, pread, pwrite};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Its stack in bytes: there may be a thousand of them.
const STACK: usize = 256 << 10;

/// What it is asked for, and the mailbox that waits for the answer.
pub(super) struct Task {
    pub(super) chore: Chore,
    pub(super) home: Arc<Mailbox>,
}

pub(super) enum Chore {
    /// A read, write or flush.
    Operation(Operation),
    /// Discard these bytes of the file or device.
    Trim { store: Arc<Store>, key: usize, bytes: Vec<(u64, u64)> },
    /// Change what a target remembers.
    Edit { record: Arc<Record>, key: usize, edit: ParkedEdit },
}

/// The thread, which starts with its first task, and ends when this is dropped and there are no
/// more.
#[derive(Default)]
pub(super) struct Helper(Mutex<Option<Sender<Task>>>);

impl Helper {
    /// Hands over a task; the answer comes as a message.
    ///
    /// # Errors
    ///
    /// The task, where no thread can be had.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub(super) fn give(&self, task: Task) -> Result<(), Task> {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.is_none() {
            let (new, tasks) = channel();
            let thread = std::thread::Builder::new().name("disk".into()).stack_size(STACK);
            if thread.spawn(move || serve(&tasks)).is_err() {
                return Err(task);
            }
            *sender = Some(new);
        }
        match sender.as_ref() {
            Some(sender) => sender.send(task).map_err(|refused| refused.0),
            None => Err(task),
        }
    }
}

fn serve(tasks: &Receiver<Task>) {
    for task in tasks {
        carry_out(task);
    }
}

/// Does it here and now, and posts the answer.
pub(super) fn carry_out(task: Task) {
    let Task { chore, home } = task;
    let answer = match chore {
        Chore::Operation(operation) => Message::Done(perform(operation)),
        Chore::Trim { store, key, bytes } => {
            let outcome = bytes.iter().try_for_each(|(at, length)| store.trim(*at, *length));
            Message::Trimmed { key, bytes, outcome }
        }
        Chore::Edit { record, key, edit } => {
            let ParkedEdit { packet, edit, port } = edit;
            let answer = record.edit(&port, &edit, packet.head());
            Message::Edited(key, Edited { packet, edit, answer })
        }
    };
    home.deliver(answer);
}

fn perform(mut operation: Operation) -> Done {
    let Operation { store, kind, buffer, bytes, position, .. } = &mut operation;
    let file = store.file();
    let result = match (kind, buffer) {
        (Kind::Read, Some(buffer)) => {
            unless_interrupted(|| pread(file, &mut buffer.bytes_mut()[bytes.clone()], *position))
        }
        (Kind::Write, Some(buffer)) => {
            unless_interrupted(|| pwrite(file, &buffer.bytes()[bytes.clone()], *position))
        }
        (Kind::Sync, _) | (_, None) => store.backing().sync().map(|()| 0),
    };
    Done { operation, result }
}

/// Calls again what a signal has ended before it did anything.
fn unless_interrupted(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}
