// SPDX-License-Identifier: GPL-3.0-or-later
//! The Hugging Face formats that Rust crates already read, behind the C interface of `bridge.h`.
//! Thin: what a text or a model means is decided on the C++ side.

mod hub;
mod parquet;
mod template;
mod tokenizer;

use std::cell::Cell;
use std::ffi::{c_char, c_int, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

/// Values of `bsb_status`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    Ok = 0,
    Invalid = 1,
    Limit = 2,
    Raised = 3,
    NotFound = 4,
    NoNetwork = 5,
    Denied = 6,
    RateLimited = 7,
    Cancelled = 8,
    Io = 9,
    Unsupported = 10,
    Corrupt = 11,
    Server = 12,
    Panic = 99,
}

/// An error on its way to the caller.
pub struct Failure(pub Status, pub String);

impl Failure {
    pub fn invalid(error: impl std::fmt::Display) -> Self {
        Failure(Status::Invalid, error.to_string())
    }
}

pub type Outcome<T> = Result<T, Failure>;

/// A vector given away; `bsb_bytes` and `bsb_ids`.
#[repr(C)]
pub struct Buffer<T> {
    data: *mut T,
    size: usize,
    capacity: usize,
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        let mut values = std::mem::ManuallyDrop::new(values);
        Buffer {
            data: values.as_mut_ptr(),
            size: values.len(),
            capacity: values.capacity(),
        }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if !self.data.is_null() {
            // SAFETY: the parts come from a vector of the same type (`from` above).
            drop(unsafe { Vec::from_raw_parts(self.data, self.size, self.capacity) });
        }
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A library prints nothing: panics that `guard` turns into a status are not reported.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                previous(info);
            }
        }));
    });
}

/// Runs a body, stores its result in `out` and turns failures and panics into a status.
///
/// # Safety
/// `out` and `error` are writable or null.
pub unsafe fn guard<T>(
    out: *mut T,
    error: *mut *mut c_char,
    body: impl FnOnce() -> Outcome<T>,
) -> Status {
    silence_guarded_panics();
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    let failure = match outcome {
        Ok(Ok(value)) => {
            if !out.is_null() {
                out.write(value);
            }
            return Status::Ok;
        }
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
            Failure(
                Status::Panic,
                text.unwrap_or_else(|| "panic without a message".into()),
            )
        }
    };
    if !error.is_null() {
        let text = CString::new(failure.1.replace('\0', " ")).unwrap_or_default();
        error.write(text.into_raw());
    }
    failure.0
}

/// # Safety
/// `data` points to `size` bytes, or `size` is zero.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// # Safety
/// As `slice`.
pub unsafe fn text<'a>(data: *const u8, size: usize) -> Outcome<&'a str> {
    std::str::from_utf8(slice(data, size)).map_err(|error| {
        Failure::invalid(format!("text is not UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// # Safety
/// `text` ends with a zero.
pub unsafe fn c_text<'a>(text: *const c_char) -> Outcome<&'a str> {
    CStr::from_ptr(text).to_str().map_err(Failure::invalid)
}

#[no_mangle]
pub unsafe extern "C" fn bsb_text_free(text: *mut c_char) {
    if !text.is_null() {
        drop(CString::from_raw(text));
    }
}

#[no_mangle]
pub extern "C" fn bsb_bytes_free(bytes: Buffer<u8>) {
    drop(bytes);
}

#[no_mangle]
pub extern "C" fn bsb_ids_free(ids: Buffer<u32>) {
    drop(ids);
}

pub fn flag(value: c_int) -> bool {
    value != 0
}
