//! The sinks of a pipeline process.

use towpath::postgres::{Once, PostgresSink, PostgresSinkOptions};
use towpath::prelude::*;
use towpath::sqlite::{Bind, SqliteSink, SqliteSinkOptions};

use crate::cli::SinkKind;
use crate::payload::Row;
use crate::system::queue::SYNC;
use crate::system::table::SCOPE;

const TABLE: &str = "delivered";
const COLUMNS: [&str; 2] = ["number", "text"];
const KEY: [&str; 1] = ["number"];

pub(super) fn sqlite(path: &str, kind: SinkKind) -> Result<SqliteSink<Row>, BoxError> {
    let path = SqliteSinkOptions::new(path).sync(SYNC);
    let insert = "insert into delivered (number, text) values (?1, ?2)";
    Ok(match kind {
        SinkKind::Insert => SqliteSink::statement(path, insert, bind)?,
        SinkKind::Upsert => SqliteSink::upsert(path, TABLE, &COLUMNS, &KEY, bind)?,
        SinkKind::Once => SqliteSink::statement(path, insert, bind)?.once("applied"),
    })
}

fn bind(row: &Row, bind: &mut Bind<'_>) {
    bind.push(row.number).push(&row.text);
}

pub(super) fn postgres(url: &str, kind: SinkKind) -> Result<PostgresSink<Row>, BoxError> {
    let options = match kind {
        SinkKind::Insert => PostgresSinkOptions::copy_into(url, TABLE, COLUMNS),
        SinkKind::Upsert => PostgresSinkOptions::upsert(url, TABLE, COLUMNS, KEY),
        SinkKind::Once => {
            PostgresSinkOptions::copy_into(url, TABLE, COLUMNS).once(Once::new(SCOPE))
        }
    };
    Ok(PostgresSink::new(options, |row: &Row, out| {
        // Numbers are far from this limit.
        out.add(i64::try_from(row.number).unwrap_or(i64::MAX))
            .add(&row.text);
    })?)
}
