//! The statements that make the table of a queue.

use crate::{Table, table::quoted};

/// The statements that make the table of a queue and its indexes, where they are not there.
///
/// For whoever has migrations of their own: [`PostgresQueue::create`](crate::PostgresQueue::create)
/// runs them otherwise.
///
/// ```
/// use towpath_postgres::{Table, queue_schema};
///
/// let schema = queue_schema(&Table::new("jobs"));
/// assert!(schema.contains(r#"CREATE TABLE IF NOT EXISTS "jobs""#));
/// ```
///
/// | column | holds |
/// |---|---|
/// | `id` | the order in which messages were enqueued |
/// | `key`, `payload`, `headers` | the message; headers are a JSON object of texts |
/// | `available_at` | when it may be delivered, or again |
/// | `lease_until` | until when somebody works on it; null while nobody does |
/// | `lease` | the number of that lease: an outcome that names another one changes nothing |
/// | `deliveries` | how often it was tried |
/// | `enqueued_at`, `done_at` | when it came, and when it was done, where done ones are kept |
pub fn queue_schema(table: &Table) -> String {
    let waiting = quoted(&table.belonging("_waiting"));
    let leased = quoted(&table.belonging("_leased"));
    let done = quoted(&table.belonging("_done"));
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    id bigserial PRIMARY KEY,
    key text,
    payload bytea NOT NULL,
    headers json,
    available_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    lease bigint NOT NULL DEFAULT 0,
    deliveries integer NOT NULL DEFAULT 0,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS {waiting} ON {table} (available_at, id)
    WHERE lease_until IS NULL AND done_at IS NULL;
CREATE INDEX IF NOT EXISTS {leased} ON {table} (lease_until, id)
    WHERE lease_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS {done} ON {table} (done_at)
    WHERE done_at IS NOT NULL;
"
    )
}
