// SPDX-License-Identifier: GPL-3.0-or-later
//! Rows of parquet files, as JSON.

use crate::{c_text, guard, Buffer, Failure, Outcome, Status};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use std::ffi::c_char;
use std::fs::File;
use std::sync::Arc;

pub struct Handle {
    path: String,
    schema: Arc<Type>,
    rows: i64,
    selected: Option<RowIter<'static>>,
}

fn reader(path: &str) -> Outcome<SerializedFileReader<File>> {
    let file = File::open(path).map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::NotFound => Status::NotFound,
            _ => Status::Io,
        };
        Failure(status, error.to_string())
    })?;
    SerializedFileReader::new(file).map_err(Failure::invalid)
}

fn open(path: &str) -> Outcome<*mut Handle> {
    let reader = reader(path)?;
    let metadata = reader.metadata().file_metadata();
    let handle = Handle {
        path: path.to_string(),
        schema: metadata.schema_descr().root_schema_ptr(),
        rows: metadata.num_rows(),
        selected: None,
    };
    Ok(Box::into_raw(Box::new(handle)))
}

fn kind(field: &Type) -> &'static str {
    let info = field.get_basic_info();
    if info.has_repetition() && info.repetition() == Repetition::REPEATED {
        return "list";
    }
    if field.is_group() {
        let is_list = info.converted_type() == ConvertedType::LIST
            || matches!(info.logical_type_ref(), Some(LogicalType::List));
        return if is_list { "list" } else { "group" };
    }
    let is_text = info.converted_type() == ConvertedType::UTF8
        || matches!(info.logical_type_ref(), Some(LogicalType::String));
    match field.get_physical_type() {
        Physical::BYTE_ARRAY if is_text => "string",
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => "bytes",
        Physical::BOOLEAN => "boolean",
        Physical::INT32 | Physical::INT64 | Physical::INT96 => "integer",
        Physical::FLOAT | Physical::DOUBLE => "number",
    }
}

fn columns(handle: &Handle) -> Vec<u8> {
    let columns: Vec<serde_json::Value> = handle
        .schema
        .get_fields()
        .iter()
        .map(|field| serde_json::json!({"name": field.name(), "type": kind(field)}))
        .collect();
    serde_json::Value::from(columns).to_string().into_bytes()
}

fn select(handle: &mut Handle, names: &str) -> Outcome<()> {
    let mut fields = Vec::new();
    for name in names.lines() {
        let field = handle
            .schema
            .get_fields()
            .iter()
            .find(|field| field.name() == name);
        fields.push(
            field
                .cloned()
                .ok_or_else(|| Failure(Status::NotFound, name.to_string()))?,
        );
    }
    let projection = Type::group_type_builder(handle.schema.name())
        .with_fields(fields)
        .build()
        .map_err(Failure::invalid)?;
    let rows = RowIter::from_file_into(Box::new(reader(&handle.path)?));
    handle.selected = Some(rows.project(Some(projection)).map_err(Failure::invalid)?);
    Ok(())
}

fn next(handle: &mut Handle, max_rows: usize) -> Outcome<Vec<u8>> {
    let rows = handle
        .selected
        .as_mut()
        .ok_or_else(|| Failure::invalid("no column selected"))?;
    let mut values = Vec::new();
    for row in rows.take(max_rows) {
        values.push(row.map_err(Failure::invalid)?.to_json_value());
    }
    Ok(serde_json::Value::from(values).to_string().into_bytes())
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_open(
    path: *const c_char,
    handle: *mut *mut Handle,
    error: *mut *mut c_char,
) -> Status {
    guard(handle, error, || open(c_text(path)?))
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_free(handle: *mut Handle) {
    if !handle.is_null() {
        drop(Box::from_raw(handle));
    }
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_rows(handle: *const Handle) -> i64 {
    (*handle).rows
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_columns(
    handle: *const Handle,
    json: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    guard(json, error, || Ok(columns(&*handle).into()))
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_select(
    handle: *mut Handle,
    names: *const c_char,
    error: *mut *mut c_char,
) -> Status {
    guard(std::ptr::null_mut(), error, || {
        select(&mut *handle, c_text(names)?)
    })
}

#[no_mangle]
pub unsafe extern "C" fn bsb_parquet_next(
    handle: *mut Handle,
    max_rows: usize,
    json: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    guard(json, error, || Ok(next(&mut *handle, max_rows)?.into()))
}
