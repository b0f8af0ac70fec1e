//! Stages with policies on a runtime of several threads, in real time.
