//! A sliding window: what was admitted and when, in a log of bounded length.

use std::{collections::VecDeque, time::Duration};

use super::rate_value::Rate;

/// The longest log: calls that come closer together than this share of the period are
/// one entry, which counts until the last of them is out of the window.
const ENTRIES: u32 = 512;

/// What was admitted within the last period.
#[derive(Debug, Default)]
pub(super) struct Window {
    log: VecDeque<Entry>,
    used: u64,
}

#[derive(Debug)]
struct Entry {
    first: u64,
    last: u64,
    weight: u64,
}

/// When something was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64);

/// How much fits a window, and how long one is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    most: u32,
    period: u64,
    grain: u64,
}

// === impl Span ===

impl Span {
    pub(super) fn of(rate: Rate) -> Self {
        let period = nanos(rate.period());
        let fine = rate.count() <= ENTRIES;
        Self {
            most: rate.count(),
            period,
            grain: if fine { 0 } else { period / u64::from(ENTRIES) },
        }
    }
}

fn nanos(period: Duration) -> u64 {
    u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)
}

// === impl Window ===

impl Window {
    /// Takes `weight`, or says when there is room.
    pub(super) fn take(&mut self, weight: u32, span: Span, now: u64) -> Result<Mark, u64> {
        // Clocks of several threads are not in order; the log is.
        let now = self.log.back().map_or(now, |newest| newest.last.max(now));
        if let Some(later) = self.room_at(weight, span, now) {
            return Err(later);
        }
        if weight > 0 {
            self.add(weight.into(), span, now);
        }
        Ok(Mark(now))
    }

    /// When so much has left the window that `weight` fits; `None` is now.
    pub(super) fn room_at(&mut self, weight: u32, span: Span, now: u64) -> Option<u64> {
        self.forget(span, now);
        let most = u64::from(span.most);
        let mut used = self.used + u64::from(weight);
        if weight == 0 || used <= most {
            return None;
        }
        for entry in &self.log {
            used -= entry.weight;
            if used <= most {
                return Some(entry.end(span));
            }
        }
        Some(self.empty_at(span))
    }

    /// Gives back what was taken, if it still counts.
    pub(super) fn give_back(&mut self, Mark(taken): Mark, weight: u32) {
        let place = self.log.partition_point(|entry| entry.last < taken);
        let entry = self.log.get_mut(place);
        let Some(entry) = entry.filter(|entry| entry.first <= taken) else {
            return;
        };
        let back = entry.weight.min(weight.into());
        entry.weight -= back;
        self.used -= back;
        if entry.weight == 0 {
            self.log.remove(place);
        }
    }

    /// When the last entry is out of the window.
    pub(super) fn empty_at(&self, span: Span) -> u64 {
        self.log.back().map_or(0, |newest| newest.end(span))
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.log.len()
    }

    fn add(&mut self, weight: u64, span: Span, now: u64) {
        self.used += weight;
        let recent = self
            .log
            .back_mut()
            .filter(|newest| now == newest.last || now - newest.first < span.grain);
        match recent {
            Some(newest) => {
                newest.last = now;
                newest.weight += weight;
            }
            None => self.log.push_back(Entry {
                first: now,
                last: now,
                weight,
            }),
        }
    }

    fn forget(&mut self, span: Span, now: u64) {
        while let Some(oldest) = self.log.front().filter(|oldest| oldest.end(span) <= now) {
            self.used -= oldest.weight;
            self.log.pop_front();
        }
    }
}

// === impl Entry ===

impl Entry {
    fn end(&self, span: Span) -> u64 {
        self.last.saturating_add(span.period)
    }
}
