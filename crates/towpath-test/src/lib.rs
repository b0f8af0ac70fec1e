//! The test kit of Towpath: inject, await outcomes, record, fail on cue, check conservation.
