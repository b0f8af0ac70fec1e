//! What waits costs nothing while it waits.
