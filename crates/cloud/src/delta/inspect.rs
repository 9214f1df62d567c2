//! The archive's tables as they are, for a check: what cannot be opened, or has other columns than ours, is said and does
//! not end it.

use super::{
    ArchiveError, Location, Settings,
    definitions::{Definition, definitions},
    table::{Replay, Said, Table, View},
};
use arrow::datatypes::SchemaRef;

/// A table opened for a check.
pub(crate) struct Inspected {
    /// Its name.
    pub name: &'static str,
    /// The columns that it must have.
    pub schema: SchemaRef,
    /// Its files; none if it cannot be opened.
    pub view: View,
    /// What is wrong with it as a whole.
    pub wrong: Option<ArchiveError>,
    /// Watermarks in its log, if they were read.
    pub replay: Option<Replay>,
    /// What its log says besides, if it was read.
    pub said: Option<Said>,
}

impl Inspected {
    /// A table of which only the files are looked at.
    pub(super) fn new(definition: &Definition, view: View) -> Self {
        let (name, schema) = (definition.name, definition.schema.clone());
        Self { name, schema, view, wrong: None, replay: None, said: None }
    }

    /// Whether this is the snapshot of another look.
    pub fn has_the_files_of(&self, other: &Self) -> bool {
        let (mine, others) = (self.view.files(), other.view.files());
        mine.len() == others.len() && mine.iter().zip(others.iter()).all(|(a, b)| a.path == b.path)
    }
}

/// Opens the tables; an error only if none of them is there.
pub(crate) async fn inspect(location: &Location) -> Result<[Inspected; 4], ArchiveError> {
    let [records, batches, quarantine, copies] = definitions(Settings::default());
    let mut tables = [
        table(location, &records).await,
        table(location, &batches).await,
        table(location, &quarantine).await,
        table(location, &copies).await,
    ];
    // An archive of before there were copies has no such table.
    let mut needed = tables.iter().take(3);
    if needed.all(|table| matches!(table.wrong, Some(ArchiveError::Missing { .. }))) {
        return Err(ArchiveError::Missing { what: location.url.to_string() });
    }
    if let [.., copies] = &mut tables
        && matches!(copies.wrong, Some(ArchiveError::Missing { .. }))
    {
        copies.wrong = None;
    }
    Ok(tables)
}

async fn table(location: &Location, definition: &Definition) -> Inspected {
    let mut inspected = Inspected::new(definition, View::empty(location.store.clone()));
    match Table::load(&location.store, &location.url, definition, false).await {
        Ok(Some(table)) => {
            inspected.view = table.view();
            inspected.wrong = table.check_schema(&definition.schema).err();
            match table.said() {
                Ok(said) => inspected.said = Some(said),
                Err(error) => inspected.wrong = inspected.wrong.or(Some(error)),
            }
            match table.replay().await {
                Ok(replay) => inspected.replay = Some(replay),
                Err(error) => inspected.wrong = inspected.wrong.or(Some(error)),
            }
        }
        Ok(None) => {
            let what = format!("{}{}", location.url, definition.name);
            inspected.wrong = Some(ArchiveError::Missing { what });
        }
        Err(error) => inspected.wrong = Some(error),
    }
    inspected
}
