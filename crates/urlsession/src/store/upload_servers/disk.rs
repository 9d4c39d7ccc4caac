//! The file of a store of upload servers: its table, read and written. `persistent` decides when.

use std::path::PathBuf;
use std::time::SystemTime;

use rusqlite::{Connection, Row, TransactionBehavior, params};
use urlsession_proto::resumable_upload::Dialect;

use super::{KEPT, MOST, OPENED, ServerEntry, ServerSupport, Servers, UploadServerStorage};
use crate::env::epoch_micros;
use crate::store::bounded_map::Batch;
use crate::store::database::Schema;
use crate::store::persistent::{Gone, Table};

impl UploadServerStorage {
    /// The store with this file. Its folder is made when it is needed. The same path gives the same store.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(OPENED.at(path.into()))
    }
}

impl Table for Servers {
    const SCHEMA: Schema = Schema {
        name: "upload servers",
        version: 1,
        discard_older: None,
        // Times are in microseconds since 1970. `version` is the interop version that is spoken, or that is refused and was
        // the newest then.
        create: "CREATE TABLE servers (
            origin TEXT NOT NULL PRIMARY KEY,
            noted INTEGER NOT NULL,
            manner INTEGER NOT NULL,
            version INTEGER NOT NULL,
            hears_interim INTEGER,
            most_at_once INTEGER
        ) STRICT, WITHOUT ROWID",
    };

    fn read(connection: &Connection) -> rusqlite::Result<Self::Rows> {
        let mut statement = connection.prepare(
            "SELECT origin, noted, manner, version, hears_interim, most_at_once FROM servers
             ORDER BY noted DESC LIMIT ?",
        )?;
        let mut rows = statement.query([MOST as i64])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            // What says nothing that is understood is not known.
            if let Some(support) = support(row)? {
                entries.push((
                    row.get_ref(0)?.as_str()?.into(),
                    ServerEntry { support, noted: row.get(1)?, is_local: false },
                ));
            }
        }
        Ok(entries)
    }

    fn write(
        connection: &mut Connection,
        batch: &Batch<ServerEntry>,
        now: SystemTime,
    ) -> rusqlite::Result<Gone> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut gone = 0;
        if batch.clears {
            transaction.execute("DELETE FROM servers", [])?;
        } else {
            let oldest = epoch_micros(now).saturating_sub(KEPT.as_micros() as i64);
            gone += transaction.execute("DELETE FROM servers WHERE noted <= ?", [oldest])?;
        }
        {
            let mut delete = transaction.prepare("DELETE FROM servers WHERE origin = ?")?;
            let mut put = transaction.prepare("INSERT OR REPLACE INTO servers VALUES (?, ?, ?, ?, ?, ?)")?;
            for (origin, entry) in &batch.entries {
                let Some(ServerEntry { support, noted, .. }) = entry else {
                    gone += delete.execute([origin])?;
                    continue;
                };
                let (kind, spoken) = match *support {
                    ServerSupport::Refuses => (REFUSES, None),
                    ServerSupport::Indifferent => (INDIFFERENT, None),
                    ServerSupport::Speaks { dialect, hears_interim, most_at_once } => {
                        (SPEAKS, Some((dialect, hears_interim, most_at_once)))
                    }
                };
                put.execute(params![
                    origin,
                    noted,
                    kind,
                    spoken.map_or(Dialect::NEWEST, |(dialect, ..)| dialect).version(),
                    spoken.map(|(_, hears_interim, _)| hears_interim),
                    spoken.and_then(|(.., most)| i64::try_from(most?).ok()),
                ])?;
            }
        }
        transaction.commit()?;
        // What is replaced is of the same name, which is all there is to hide.
        Ok(if batch.clears { Gone::Everything } else { Gone::rows(gone) })
    }
}

fn support(row: &Row<'_>) -> rusqlite::Result<Option<ServerSupport>> {
    let dialect = u64::try_from(row.get::<_, i64>(3)?).ok().and_then(Dialect::of_version);
    // Who refuses an older library may understand this one.
    let is_now = dialect == Some(Dialect::NEWEST);
    Ok(match row.get(2)? {
        REFUSES => is_now.then_some(ServerSupport::Refuses),
        INDIFFERENT => is_now.then_some(ServerSupport::Indifferent),
        SPEAKS => {
            let (hears_interim, most): (Option<bool>, Option<i64>) = (row.get(4)?, row.get(5)?);
            dialect.map(|dialect| ServerSupport::Speaks {
                dialect,
                hears_interim: hears_interim.unwrap_or_default(),
                most_at_once: most.and_then(|most| u64::try_from(most).ok()),
            })
        }
        _ => None,
    })
}

const REFUSES: i64 = 0;
const INDIFFERENT: i64 = 1;
const SPEAKS: i64 = 2;
