//! The book of what was worked: a SQLite file that the members share.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use towpath::prelude::*;
use towpath::sqlite::{Bind, SqliteSink};

use crate::cli::Work;
use crate::task::Task;

/// While a member writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines are in the order in which they were written, over all members.
const TABLE: &str = "\
create table if not exists worked (
    id integer primary key autoincrement,
    member text not null,
    customer text not null,
    number integer not null
)";

const LINE: &str = "insert into worked (member, customer, number) values (?1, ?2, ?3)";

const SHARES: &str = "\
select member, count(*), count(distinct customer) from worked group by member order by member";

/// What a member has worked.
#[derive(Debug)]
pub(crate) struct Share {
    member: String,
    tasks: u32,
    customers: u32,
}

/// Writes down what a member has worked.
pub(crate) fn sink(options: &Work) -> Result<SqliteSink<Task>, BoxError> {
    let member = options.member.clone();
    let line = move |task: &Task, line: &mut Bind<'_>| {
        line.push(&member).push(&task.customer).push(task.number);
    };
    Ok(SqliteSink::statement(options.book.as_path(), LINE, line)?.setup(TABLE))
}

/// What each member has worked, by name.
pub(crate) fn shares(path: &Path) -> Result<Vec<Share>, BoxError> {
    read(path).map_err(|error| format!("the book {}: {error}", path.display()).into())
}

fn read(path: &Path) -> rusqlite::Result<Vec<Share>> {
    // Also who only reads writes beside the book; but makes none where there is none.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let book = Connection::open_with_flags(path, flags)?;
    book.busy_timeout(PATIENCE)?;
    let mut shares = book.prepare(SHARES)?;
    let shares = shares.query_map((), |row| {
        Ok(Share {
            member: row.get(0)?,
            tasks: row.get(1)?,
            customers: row.get(2)?,
        })
    })?;
    shares.collect()
}

// === impl Share ===

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            member,
            tasks,
            customers,
        } = self;
        write!(f, "{member}: {tasks} tasks of {customers} customers")
    }
}
