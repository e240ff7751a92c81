//! A request under way, with all its copies.

use std::time::Instant;

use anyhow::{Context, Result};

use super::Operation;
use crate::frame::{Frame, Request, command, opcode};
use crate::history::Clock;
use crate::stamp::{self, SECTOR};

/// Bytes of the registers in front of the data.
const REGISTERS: usize = 12;

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) operation: Operation,
    /// When the last copy has left, or when it was to.
    pub(super) last_sent: Instant,
    request: Request,
    /// Copies that have left, and those that were answered.
    sent: usize,
    answered: usize,
}

impl Flight {
    pub(super) fn new(operation: Operation, slot: u8, source: [u8; 6], now: Instant) -> Self {
        let (flags, opcode) =
            if operation.is_write { (0x41, opcode::WRITE) } else { (0x40, opcode::READ) };
        let mut argument = vec![flags, 0, operation.sectors as u8, opcode];
        argument.extend(&operation.lba.to_le_bytes()[..6]);
        argument.extend([0, 0]);
        if let Some(&value) = operation.values.first() {
            argument.extend(stamp::data(value, operation.lba, operation.sectors));
        }
        let request = Request { source, ..Request::new(0, slot, command::ATA, argument) };
        Self { operation, last_sent: now, request, sent: 0, answered: 0 }
    }

    /// The frame of a copy with this tag.
    pub(super) fn frame(&self, tag: u32) -> Vec<u8> {
        Request { tag, ..self.request.clone() }.bytes()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.operation.answered.is_some()
    }

    /// Notes that a copy has left.
    pub(super) fn left(&mut self, now: Instant) {
        self.sent += 1;
        self.operation.repeated = self.sent > 1;
        self.last_sent = now;
    }

    /// Takes the answer to a copy, which the client sees or not.
    pub(super) fn came_back(
        &mut self,
        frame: &Frame,
        seen: bool,
        torn: bool,
        clock: &Clock,
        note: &impl Fn() -> Result<u64>,
    ) -> Result<()> {
        self.answered += 1;
        if !seen || self.is_answered() {
            return Ok(());
        }
        let operation = &mut self.operation;
        operation.note = note()?;
        if !operation.is_write {
            let bytes = operation.sectors as usize * SECTOR;
            let data = frame.argument().get(REGISTERS..REGISTERS + bytes);
            let data = data.context("a read brought too little")?;
            for (sector, lba) in data.chunks(SECTOR).zip(operation.lba..) {
                let value = match stamp::value_of(sector, lba) {
                    Err(_) if torn => stamp::TORN,
                    value => value?,
                };
                operation.values.push(value);
            }
        }
        operation.answered = Some(clock.tick());
        Ok(())
    }

    /// Whether nothing of it can happen any more; then it is noted when that was.
    pub(super) fn is_over(&mut self, clock: &Clock) -> bool {
        let is_over = self.is_answered() && self.answered >= self.sent;
        if is_over {
            self.operation.ended = Some(clock.tick());
        }
        is_over
    }

    /// What is known of it when nobody waits any longer.
    pub(super) fn unfinished(self) -> Operation {
        self.operation
    }
}
