// SPDX-License-Identifier: GPL-3.0-or-later
//! Chat templates, with the filters, functions and block rules that transformers gives them.

use crate::{guard, slice, text, Buffer, Failure, Outcome, Status};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use std::ffi::c_char;
use std::io::{self, Write};

#[repr(C)]
pub struct Limits {
    fuel: u64,
    max_output: usize,
    max_depth: usize,
    now: i64,
}

/// Marks errors of `raise_exception`, which are the template's own words.
const RAISED: &str = "\u{1}raised\u{1}";

struct Capped {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.limit {
            return Err(io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it.
struct PythonJson {
    indent: Option<Vec<u8>>,
    depth: usize,
    has_value: bool,
}

impl PythonJson {
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        if let Some(indent) = &self.indent {
            writer.write_all(b"\n")?;
            for _ in 0..self.depth {
                writer.write_all(indent)?;
            }
        }
        Ok(())
    }

    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.line(writer)?;
        }
        self.has_value = true;
        writer.write_all(bracket)
    }

    fn separate<W: ?Sized + Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(if self.indent.is_some() { b"," } else { b", " })?;
        }
        self.line(writer)
    }
}

impl serde_json::ser::Formatter for PythonJson {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }
    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }
    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.separate(writer, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }
    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }
    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.separate(writer, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

fn tojson(value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let _: Option<bool> = arguments.get("ensure_ascii")?;
    let _: Option<bool> = arguments.get("sort_keys")?;
    arguments.assert_all_used()?;
    let formatter = PythonJson {
        indent: indent.map(|width| vec![b' '; width.min(16)]),
        depth: 0,
        has_value: false,
    };
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(&value, &mut serializer)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from_safe_string(
        String::from_utf8_lossy(&bytes).into_owned(),
    ))
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("{RAISED}{message}"),
    ))
}

fn strftime(now: i64, format: &str) -> Result<String, Error> {
    let bad = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let time = jiff::Timestamp::from_second(now).map_err(bad)?;
    jiff::fmt::strtime::format(format, time.to_zoned(jiff::tz::TimeZone::UTC).datetime())
        .map_err(bad)
}

/// Jinja2's tests and length: None is not iterable, texts and mappings are sequences, and undefined
/// values are empty.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && (value.as_str().is_some() || value.try_iter().is_ok())
}

fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::String
    )
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    let characters = value.as_str().map(|text| text.chars().count());
    characters.or_else(|| value.len()).ok_or_else(|| {
        let text = format!("a value of type {} has no length", value.kind());
        Error::new(ErrorKind::InvalidOperation, text)
    })
}

/// `{% generation %}` marks what the assistant said, for training; it changes no text. Turned into
/// an `if` that always holds, with the same white space rules.
fn without_generation_tags(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}").map(|end| end + 2) else {
            break;
        };
        let tag = &rest[start..start + length];
        let word =
            tag[2..length - 2].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        result.push_str(&rest[..start]);
        match word {
            "generation" => result.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => result.push_str(&tag.replace("endgeneration", "endif")),
            _ => result.push_str(tag),
        }
        rest = &rest[start + length..];
    }
    result.push_str(rest);
    result
}

fn failure(error: &Error) -> Failure {
    let detail = error.detail().unwrap_or_default();
    if let Some(raised) = detail.split(RAISED).nth(1) {
        return Failure(Status::Raised, raised.to_string());
    }
    let is_output_limit = error.kind() == ErrorKind::WriteFailure;
    let is_depth_limit = detail.contains("recursion limit");
    if error.kind() == ErrorKind::OutOfFuel || is_output_limit || is_depth_limit {
        let what = if is_output_limit {
            "the text became longer than the limit"
        } else if is_depth_limit {
            "calls are nested deeper than the limit"
        } else {
            "the template ran longer than the limit"
        };
        return Failure(Status::Limit, what.into());
    }
    Failure::invalid(error)
}

fn render(source: &str, context: &[u8], limits: &Limits) -> Outcome<Vec<u8>> {
    let context: serde_json::Value = serde_json::from_slice(context).map_err(Failure::invalid)?;
    let source = without_generation_tags(source);
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(limits.fuel));
    environment.set_recursion_limit(limits.max_depth);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    let now = limits.now;
    environment.add_function("strftime_now", move |format: &str| strftime(now, format));
    environment.add_filter("tojson", tojson);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    let template = environment
        .template_from_named_str("chat template", &source)
        .map_err(|error| failure(&error))?;
    let mut output = Capped {
        bytes: Vec::new(),
        limit: limits.max_output,
    };
    template
        .render_captured_to(Value::from_serialize(&context), &mut output)
        .map_err(|error| failure(&error))?;
    Ok(output.bytes)
}

#[no_mangle]
pub unsafe extern "C" fn bsb_template_render(
    source: *const u8,
    source_size: usize,
    context: *const u8,
    context_size: usize,
    limits: *const Limits,
    bytes: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    guard(bytes, error, || {
        let rendered = render(
            text(source, source_size)?,
            slice(context, context_size),
            &*limits,
        )?;
        Ok(rendered.into())
    })
}
