//! The physical columns of the `records` table: one list from which the schema and the data are both made.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBuilder, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::row::{Access, Row};

enum Column {
    Text(fn(&Row) -> Option<&str>),
    Integer(fn(&Row) -> Option<i64>),
    Flag(fn(&Row) -> Option<bool>),
    Bytes(fn(&Row) -> Option<&[u8]>),
    Time(fn(&Row) -> Option<i64>),
}

/// Name, and where its values come from. All columns are nullable, as Delta readers expect the least of that.
const COLUMNS: &[(&str, Column)] = &[
    ("lake_index", Column::Integer(|r| Some(r.lake_index))),
    ("source", Column::Text(|r| Some(&r.source))),
    ("seq", Column::Integer(|r| Some(r.seq))),
    ("at", Column::Time(|r| Some(r.at))),
    ("kind", Column::Text(|r| Some(r.kind))),
    ("chain", Column::Bytes(|r| Some(&r.chain))),
    ("record", Column::Bytes(|r| Some(&r.record))),
    ("statement_id", Column::Text(|r| r.statement_id.as_deref())),
    ("session_id", Column::Text(|r| r.session_id.as_deref())),
    ("principal", Column::Text(|r| r.principal.as_deref())),
    ("principal_kind", Column::Text(|r| r.principal_kind)),
    ("on_behalf_of", Column::Text(|r| r.on_behalf_of.as_deref())),
    ("client_address", Column::Text(|r| r.client_address.as_deref())),
    ("application_name", Column::Text(|r| r.application_name.as_deref())),
    ("environment", Column::Text(|r| r.environment.as_deref())),
    ("database_name", Column::Text(|r| r.database_name.as_deref())),
    ("database_role", Column::Text(|r| r.database_role.as_deref())),
    ("statement_text", Column::Text(|r| r.statement_text.as_deref())),
    ("statement_kinds", Column::Text(|r| r.statement_kinds.as_deref())),
    ("protocol", Column::Text(|r| r.protocol)),
    ("decision", Column::Text(|r| r.decision)),
    ("effect", Column::Text(|r| r.effect)),
    ("rules", Column::Text(|r| r.rules.as_deref())),
    ("reason", Column::Text(|r| r.reason.as_deref())),
    ("epoch", Column::Integer(|r| r.epoch)),
    ("approval_id", Column::Text(|r| r.approval_id.as_deref())),
    ("masked_columns", Column::Text(|r| r.masked_columns.as_deref())),
    ("relations_read", Column::Text(|r| r.relations_read.as_deref())),
    ("relations_written", Column::Text(|r| r.relations_written.as_deref())),
    ("functions", Column::Text(|r| r.functions.as_deref())),
    ("opaque", Column::Text(|r| r.opaque.as_deref())),
    ("rewritten", Column::Flag(|r| r.rewritten)),
    ("bind_values", Column::Text(|r| r.bind_values.as_deref())),
    ("sqlstate", Column::Text(|r| r.sqlstate.as_deref())),
    ("rows", Column::Integer(|r| r.rows)),
    ("bytes", Column::Integer(|r| r.bytes)),
    ("duration_us", Column::Integer(|r| r.duration_us)),
    ("cancelled", Column::Flag(|r| r.cancelled)),
    ("command_tag", Column::Text(|r| r.command_tag.as_deref())),
    ("authentication", Column::Text(|r| r.authentication.as_deref())),
    ("tls", Column::Flag(|r| r.tls)),
    ("statements", Column::Integer(|r| r.statements)),
    ("event_seq", Column::Integer(|r| r.event_seq)),
    ("event_kind", Column::Text(|r| r.event_kind.as_deref())),
    ("actor", Column::Text(|r| r.actor.as_deref())),
    ("payload", Column::Text(|r| r.payload.as_deref())),
    ("event_hash", Column::Text(|r| r.event_hash.as_deref())),
];

/// The one nested column: every column of every relation that a statement used.
pub const ACCESS_COLUMN: &str = "access";

fn access_fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Fields::from(vec![
        text("schema_name"),
        text("relation_name"),
        text("column_name"),
        text("operation"),
        text("tag"),
        Field::new("masked", DataType::Boolean, true),
    ])
}

fn access_item() -> Field {
    Field::new("element", DataType::Struct(access_fields()), true)
}

impl Column {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Integer(_) => DataType::Int64,
            Self::Flag(_) => DataType::Boolean,
            Self::Bytes(_) => DataType::Binary,
            Self::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    fn array(&self, rows: &[Row]) -> ArrayRef {
        match self {
            Self::Text(get) => Arc::new(rows.iter().map(get).collect::<StringArray>()),
            Self::Integer(get) => Arc::new(rows.iter().map(get).collect::<Int64Array>()),
            Self::Flag(get) => Arc::new(rows.iter().map(get).collect::<BooleanArray>()),
            Self::Bytes(get) => Arc::new(rows.iter().map(get).collect::<BinaryArray>()),
            Self::Time(get) => {
                let times: TimestampMicrosecondArray = rows.iter().map(get).collect();
                Arc::new(times.with_timezone("UTC"))
            }
        }
    }
}

/// The schema of the `records` table.
#[must_use]
pub fn schema() -> SchemaRef {
    let mut fields: Vec<Field> =
        COLUMNS.iter().map(|(name, column)| Field::new(*name, column.data_type(), true)).collect();
    fields.push(Field::new(ACCESS_COLUMN, DataType::List(Arc::new(access_item())), true));
    Arc::new(Schema::new(fields))
}

/// The rows as one batch of [`schema`].
pub fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut arrays: Vec<ArrayRef> = COLUMNS.iter().map(|(_, column)| column.array(rows)).collect();
    arrays.push(access_array(rows));
    RecordBatch::try_new(schema(), arrays)
}

fn access_array(rows: &[Row]) -> ArrayRef {
    let structs = StructBuilder::from_fields(access_fields(), rows.len());
    let mut lists = ListBuilder::new(structs).with_field(access_item());
    for row in rows {
        for access in row.access.iter().flatten() {
            append_access(lists.values(), access);
        }
        lists.append(row.access.is_some());
    }
    Arc::new(lists.finish())
}

fn append_access(builder: &mut StructBuilder, access: &Access) {
    let texts = [
        Some(access.schema_name.as_str()),
        Some(access.relation_name.as_str()),
        Some(access.column_name.as_str()),
        Some(access.operation),
        access.tag.as_deref(),
    ];
    for (index, text) in texts.into_iter().enumerate() {
        if let Some(field) = builder.field_builder::<StringBuilder>(index) {
            field.append_option(text);
        }
    }
    if let Some(field) = builder.field_builder::<BooleanBuilder>(texts.len()) {
        field.append_value(access.masked);
    }
    builder.append(true);
}
