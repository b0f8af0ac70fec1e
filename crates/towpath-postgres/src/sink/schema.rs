//! The table of what was written already.

use crate::{Table, table::quoted};

/// The statements that make the table in which a sink with [`Once`](crate::Once) keeps what it
/// has written, and its index, where they are not there.
///
/// For whoever has migrations of their own:
/// [`PostgresSink::create_applied`](crate::PostgresSink::create_applied) runs them otherwise.
pub fn applied_schema(table: &Table) -> String {
    let by_age = quoted(&table.belonging("_by_age"));
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    scope text NOT NULL,
    identity text NOT NULL,
    source_partition bigint,
    source_position bigint,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, identity)
);
CREATE INDEX IF NOT EXISTS {by_age} ON {table} (scope, applied_at);
"
    )
}

/// Takes note of messages, and says which of them are new. In the order of their identities:
/// two that note the same ones wait for each other, and never both.
pub(super) fn note(table: &Table) -> String {
    format!(
        "INSERT INTO {table} (scope, identity, source_partition, source_position)
        SELECT $1, m.identity, m.source_partition, m.source_position
        FROM unnest($2::text[], $3::bigint[], $4::bigint[])
            AS m (identity, source_partition, source_position)
        ORDER BY m.identity
        ON CONFLICT DO NOTHING RETURNING identity"
    )
}

/// Forgets what is old, a bounded number at a time.
pub(super) fn forget(table: &Table) -> String {
    format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {table}
            WHERE scope = $1 AND applied_at < now() - $2::float8 * interval '1 second'
            ORDER BY applied_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ))"
    )
}
