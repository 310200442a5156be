//! How rows become events.

use super::super::error::Result;
use super::super::table::Table;
use super::Changes;

/// How a row becomes an event.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct EventConfig {
    /// The type of the events.
    pub kind: EventKind,
    /// The column of the user id.
    pub user_id: Option<String>,
    /// The column of the anonymous id.
    pub anonymous_id: Option<String>,
    /// The column of the group id.
    pub group_id: Option<String>,
    /// The name of a `track` event.
    pub event: Option<String>,
    /// The column of the time of the event.
    pub timestamp: Option<String>,
    /// The only columns that are mapped.
    pub columns: Option<Vec<String>>,
    /// Columns that are not mapped.
    pub ignore: Vec<String>,
    /// New names of columns.
    pub rename: Vec<(String, String)>,
    /// All columns as the text of a list of pairs.
    pub pairs: Option<Pairs>,
    /// Whether nulls are left out.
    pub omit_nulls: bool,
    /// The id of the row in a destination.
    pub external_id: Option<ExternalId>,
    /// The `integrations` of an event before the transformation.
    pub integrations: Vec<(String, bool)>,
    /// The columns that identify a record.
    pub identifiers: Vec<String>,
}

/// The type of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub enum EventKind {
    /// A user and their traits.
    #[default]
    Identify,
    /// Something that a user did.
    Track,
    /// A group and its traits.
    Group,
    /// A row of an object.
    Record,
}

/// All columns as the text of a list of pairs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pairs {
    /// The trait that holds the row.
    pub into: String,
    /// The trait that holds the row as last acknowledged.
    pub previous: Option<String>,
}

/// The id of the row in a destination.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExternalId {
    /// Destination and object, e.g. `Salesforce-Lead`.
    pub kind: String,
    /// The column that holds the id.
    pub column: String,
    /// The name of the field in the destination.
    pub identifier: Option<String>,
}

pub(super) fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn list(texts: Option<Vec<&str>>) -> Option<Vec<String>> {
    texts.map(|texts| texts.into_iter().map(str::to_owned).collect())
}

pub(super) fn event_of(table: Table<'_, '_>, changes: &Changes) -> Result<EventConfig> {
    let kinds = [
        ("identify", EventKind::Identify),
        ("track", EventKind::Track),
        ("group", EventKind::Group),
        ("record", EventKind::Record),
    ];
    let event = EventConfig {
        kind: table.word("type", &kinds)?.unwrap_or_default(),
        user_id: owned(table.text("user_id")?),
        anonymous_id: owned(table.text("anonymous_id")?),
        group_id: owned(table.text("group_id")?),
        event: owned(table.text("event")?),
        timestamp: owned(table.text("timestamp")?),
        columns: list(table.texts("columns")?),
        ignore: list(table.texts("ignore")?).unwrap_or_default(),
        rename: match table.table("rename")? {
            Some(table) => table.free_texts()?.into_iter().map(|(column, name, _)| (column, name)).collect(),
            None => Vec::new(),
        },
        pairs: match table.table("pairs")? {
            Some(table) => {
                let into = table.required_text("into", "it is the trait that holds the pairs of the row")?.to_owned();
                let pairs = Pairs { into, previous: owned(table.text("previous")?) };
                table.finish()?;
                Some(pairs)
            }
            None => None,
        },
        omit_nulls: table.word("nulls", &[("keep", false), ("omit", true)])?.unwrap_or(false),
        external_id: match table.table("external_id")? {
            Some(table) => {
                let kind = table.required_text("type", "destination and object, e.g. \"Salesforce-Lead\"")?.to_owned();
                let column = table.required_text("column", "the column that holds the id")?.to_owned();
                let id = ExternalId { kind, column, identifier: owned(table.text("identifier")?) };
                table.finish()?;
                Some(id)
            }
            None => None,
        },
        integrations: table.table("integrations")?.map(|table| table.free_switches()).transpose()?.unwrap_or_default(),
        identifiers: list(table.texts("identifiers")?).unwrap_or_default(),
    };
    if event.pairs.as_ref().is_some_and(|pairs| pairs.previous.is_some()) && !changes.previous {
        return Err(table
            .error_at("pairs", "event.pairs asks for the previous row, which this sync does not keep")
            .help("write previous = true in [changes]"));
    }
    if event.kind == EventKind::Track && event.event.is_none() {
        return Err(table.error("a track event needs a name").help("write event = \"Order Shipped\" in [event]"));
    }
    if event.kind == EventKind::Group && event.group_id.is_none() {
        return Err(table
            .error("a group event needs the column of its group id")
            .help("write group_id = \"account_id\" in [event]"));
    }
    table.finish()?;
    Ok(event)
}
