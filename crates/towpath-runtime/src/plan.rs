//! The topology as data: what is connected to what, what is fused, what the bound is.

use std::{fmt, time::Duration};

use towpath_core::{Message, StageInfo, StageName};

use crate::dead_letters::{LETTER_CHUNKS, LETTERS};

/// A node of the plan, by its place.
pub(crate) type Node = usize;

/// The stages of a pipeline and how they are connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<StageInfo>,
    pub(crate) edges: Vec<Edge>,
    /// The widest message, in bytes; what its payload points to not included.
    pub(crate) widest: usize,
}

/// A link between two stages, with the operators fused beside it.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: Node,
    pub(crate) to: Node,
    /// The chunks of the link; 0 where no hop is paid.
    pub(crate) buffers: usize,
    /// Messages that one of its items holds: 1, or a batch's worth.
    pub(crate) weight: usize,
    /// The operators, and the stage whose workers run them.
    pub(crate) fused: Vec<&'static str>,
    pub(crate) runs_in: Node,
    pub(crate) label: Option<String>,
}

impl Edge {
    /// A connection without a hop.
    pub(crate) fn direct(from: Node, to: Node, label: Option<String>) -> Self {
        Self {
            from,
            to,
            buffers: 0,
            weight: 1,
            fused: Vec::new(),
            runs_in: from,
            label,
        }
    }
}

impl Plan {
    /// Notes that messages of `T` cross the pipeline.
    pub(crate) fn carries<T>(&mut self) {
        self.widest = self.widest.max(size_of::<Message<T>>());
    }

    pub(crate) fn add(&mut self, info: StageInfo) -> Node {
        self.stages.push(info);
        self.stages.len() - 1
    }

    /// Adds an end without a sink, behind the stages `last`.
    pub(crate) fn end(&mut self, last: &[Node], label: Option<&String>, end: StageInfo) {
        let node = self.add(end);
        let edge = |&from: &Node| Edge::direct(from, node, label.cloned());
        self.edges.extend(last.iter().map(edge));
    }

    /// Takes another plan in; its nodes move by the returned offset.
    pub(crate) fn join(&mut self, other: Self) -> usize {
        let offset = self.stages.len();
        self.stages.extend(other.stages);
        self.widest = self.widest.max(other.widest);
        self.edges.extend(other.edges.into_iter().map(|mut edge| {
            edge.from += offset;
            edge.to += offset;
            edge.runs_in += offset;
            edge
        }));
        offset
    }

    /// The most messages that can be in flight: links, slots, and what stages hold.
    pub(crate) fn bound(&self, max_demand: usize, peak: impl Fn(&StageName) -> usize) -> u64 {
        let links = self.edges.iter().map(|edge| match edge.weight {
            1 => edge.buffers.saturating_mul(max_demand),
            weight => edge.buffers.saturating_mul(weight),
        });
        let inside = self.stages.iter().map(|stage| {
            let slots = match stage.kind {
                "processor" => {
                    let at_work = stage.concurrency.max(peak(&stage.name));
                    let slots = at_work.saturating_add(stage.parking);
                    slots.max(stage.workers.saturating_mul(max_demand))
                }
                LETTERS => LETTER_CHUNKS * max_demand,
                _ => 0,
            };
            slots.saturating_add(stage.holds)
        });
        let made = self.edges.iter().map(|edge| self.made_in_front(edge));
        let made = made.map(|workers| workers.saturating_mul(max_demand));
        let sources = self.stages.iter().filter(|s| s.kind == "source").count();
        let all = links.chain(inside).chain(made);
        let all = all.chain([sources * max_demand]);
        all.fold(0_u64, |sum, n| sum.saturating_add(n as u64))
    }

    /// The workers that have up to a chunk in hand while the rest of it, or the chunk itself,
    /// went back for the others: what operators in front have made cannot go with it.
    fn made_in_front(&self, edge: &Edge) -> usize {
        let in_front = edge.buffers > 0 && edge.runs_in == edge.to && !edge.fused.is_empty();
        match self.stages[edge.to].workers {
            workers if in_front && workers > 1 => workers,
            _ => 0,
        }
    }

    /// Stages whose name another stage has too. Branches and ends are no stages: their
    /// names are not the user's to choose.
    pub(crate) fn duplicates(&self) -> Vec<StageName> {
        let chosen = self
            .stages
            .iter()
            .filter(|s| !["branch", "end"].contains(&s.kind));
        let names: Vec<_> = chosen.map(|stage| &stage.name).collect();
        let seen = |i: usize| names[..i].contains(&names[i]);
        let doubles = (0..names.len()).filter(|&i| seen(i));
        doubles.map(|i| names[i].clone()).collect()
    }
}

/// The stages of a pipeline and their connections. Prints as text.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(crate) name: StageName,
    pub(crate) deadline: Option<Duration>,
    pub(crate) plan: Plan,
}

impl Topology {
    /// How long a message may take from its receipt to its outcome; `None` without a limit.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The stages, in the order they were built.
    pub fn stages(&self) -> &[StageInfo] {
        &self.plan.stages
    }

    /// The connections, from stage to stage, by their places.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.plan.edges.iter().map(|edge| (edge.from, edge.to))
    }

    /// The topology as a Mermaid flow chart.
    pub fn mermaid(&self) -> String {
        let mut chart = vec!["flowchart LR".to_owned()];
        for (node, stage) in self.plan.stages.iter().enumerate() {
            chart.push(format!("  s{node}[\"{}<br/>{}\"]", stage.name, stage.kind));
        }
        for edge in &self.plan.edges {
            let arrow = match edge.words().as_str() {
                "" => "-->".to_owned(),
                label => format!("-->|{label}|"),
            };
            chart.push(format!("  s{} {arrow} s{}", edge.from, edge.to));
        }
        chart.join("\n") + "\n"
    }
}

impl Edge {
    fn words(&self) -> String {
        let label = self.label.iter().map(String::as_str);
        label
            .chain(self.fused.iter().copied())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(deadline) = self.deadline {
            write!(f, ", {deadline:?} for each message")?;
        }
        writeln!(f)?;
        for (node, stage) in self.plan.stages.iter().enumerate() {
            write!(f, "  {:<10} {}", stage.kind, stage.name)?;
            if stage.concurrency > 1 {
                write!(f, " x{}", stage.concurrency)?;
            }
            if stage.parking > 0 {
                write!(f, " and {} parked", stage.parking)?;
            }
            if !stage.notes.is_empty() {
                write!(f, " ({})", stage.notes.join(", "))?;
            }
            for edge in self.plan.edges.iter().filter(|edge| edge.from == node) {
                let words = edge.words();
                let to = &self.plan.stages[edge.to].name;
                match words.as_str() {
                    "" => write!(f, " -> {to}")?,
                    words => write!(f, " -[{words}]-> {to}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What is fused, where a hop is paid, and the bound. Prints as text.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub(crate) topology: Topology,
    pub(crate) max_demand: usize,
    pub(crate) budget: Option<u64>,
    pub(crate) promise: String,
}

impl Explanation {
    /// The most messages that can be in flight.
    pub fn bound(&self) -> u64 {
        self.bound_with(|_| 0)
    }

    /// The bytes that so many messages take in links, slots and batches. What their payloads
    /// point to is not included.
    pub fn bound_bytes(&self) -> u64 {
        let widest = self.topology.plan.widest as u64;
        self.bound().saturating_mul(widest)
    }

    /// As [`bound`](Self::bound), where the concurrency of stages was set higher since.
    pub(crate) fn bound_with(&self, peak: impl Fn(&StageName) -> usize) -> u64 {
        let bound = self.topology.plan.bound(self.max_demand, peak);
        self.budget.map_or(bound, |budget| bound.min(budget))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.topology)?;
        let stages = &self.topology.plan.stages;
        for edge in &self.topology.plan.edges {
            let (from, to) = (&stages[edge.from].name, &stages[edge.to].name);
            if !edge.fused.is_empty() {
                let place = &stages[edge.runs_in].name;
                writeln!(f, "  fused      {} run in {place}", edge.fused.join(", "))?;
            }
            match edge.buffers {
                0 => writeln!(f, "  no hop     {from} -> {to}")?,
                n => writeln!(
                    f,
                    "  hop        {from} -> {to}: {n} chunks of {}",
                    edge.chunk(self.max_demand)
                )?,
            }
        }
        let (messages, bytes) = (self.bound(), self.bound_bytes());
        writeln!(
            f,
            "  bound      {messages} messages in flight, {bytes} bytes of buffers"
        )?;
        writeln!(f, "  guarantee  {}", self.promise)
    }
}

impl Edge {
    fn chunk(&self, max_demand: usize) -> String {
        match self.weight {
            1 => format!("{max_demand} messages"),
            weight => format!("one batch of up to {weight} messages"),
        }
    }
}
