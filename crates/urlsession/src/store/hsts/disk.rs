//! The file of an HSTS store: its table, read and written. `persistent` decides when.

use std::path::PathBuf;
use std::time::SystemTime;

use rusqlite::{Connection, TransactionBehavior, params};

use super::list::{HstsEntry, List, MOST};
use super::{HstsStorage, OPENED};
use crate::env::epoch_micros;
use crate::store::bounded_map::Batch;
use crate::store::database::Schema;
use crate::store::persistent::{Gone, Table};

impl HstsStorage {
    /// The store with this file. Its folder is made when it is needed. The same path gives the same store.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(OPENED.at(path.into()))
    }
}

impl Table for List {
    const SCHEMA: Schema = Schema {
        name: "HSTS",
        version: 1,
        discard_older: None,
        // Times are in microseconds since 1970.
        create: "CREATE TABLE hosts (
            host TEXT NOT NULL PRIMARY KEY,
            expires INTEGER NOT NULL,
            noted INTEGER NOT NULL,
            subdomains INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID",
    };

    fn read(connection: &Connection) -> rusqlite::Result<Self::Rows> {
        let mut statement = connection
            .prepare("SELECT host, expires, noted, subdomains FROM hosts ORDER BY noted DESC LIMIT ?")?;
        let rows = statement.query_map([MOST as i64], |row| {
            let entry =
                HstsEntry { expires: row.get(1)?, noted: row.get(2)?, includes_subdomains: row.get(3)? };
            Ok((row.get_ref(0)?.as_str()?.into(), entry))
        })?;
        rows.collect()
    }

    fn write(
        connection: &mut Connection,
        batch: &Batch<HstsEntry>,
        now: SystemTime,
    ) -> rusqlite::Result<Gone> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut gone = 0;
        if batch.clears {
            transaction.execute("DELETE FROM hosts", [])?;
        } else {
            gone += transaction.execute("DELETE FROM hosts WHERE expires <= ?", [epoch_micros(now)])?;
        }
        {
            let mut delete = transaction.prepare("DELETE FROM hosts WHERE host = ?")?;
            let mut put = transaction.prepare("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)")?;
            for (host, entry) in &batch.entries {
                match entry {
                    Some(HstsEntry { expires, noted, includes_subdomains }) => {
                        put.execute(params![host, expires, noted, includes_subdomains])?;
                    }
                    None => gone += delete.execute([host])?,
                }
            }
        }
        transaction.commit()?;
        // What is replaced is of the same name, which is all there is to hide.
        Ok(if batch.clears { Gone::Everything } else { Gone::rows(gone) })
    }
}
