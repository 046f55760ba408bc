// SPDX-License-Identifier: GPL-3.0-or-later
//! Tokenizers of `tokenizer.json`.

use crate::{flag, guard, slice, text, Buffer, Failure, Outcome, Status};
use std::collections::HashMap;
use std::ffi::{c_char, c_int};
use tokenizers::Tokenizer;

pub struct Handle {
    tokenizer: Tokenizer,
    vocab_size: u32,
}

#[derive(serde::Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

#[derive(serde::Deserialize)]
struct AddedTokens {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

/// The crate accepts ids that two tokens share, and renumbers added tokens silently; either would
/// feed a model with wrong rows of its embedding.
fn check_ids(json: &str, tokenizer: &Tokenizer) -> Outcome<u32> {
    let mut seen: HashMap<u32, String> = HashMap::new();
    let mut end = 0;
    for (token, id) in tokenizer.get_vocab(true) {
        end = end.max(id.saturating_add(1));
        if let Some(other) = seen.insert(id, token.clone()) {
            let (first, second) = if other < token {
                (other, token)
            } else {
                (token, other)
            };
            return Err(Failure::invalid(format!(
                "tokens {first:?} and {second:?} share id {id}"
            )));
        }
    }
    let added: AddedTokens = serde_json::from_str(json).map_err(Failure::invalid)?;
    for token in added.added_tokens {
        let found = tokenizer.token_to_id(&token.content);
        if found != Some(token.id) {
            return Err(Failure::invalid(format!(
                "added token {:?} has id {} in the file, but {} by the vocabulary",
                token.content,
                token.id,
                found.map_or("none".into(), |id| id.to_string())
            )));
        }
    }
    Ok(end)
}

fn load(json: &str) -> Outcome<*mut Handle> {
    let mut tokenizer: Tokenizer = json.parse().map_err(Failure::invalid)?;
    // Settings of a training script that must not shorten or pad calibration texts.
    tokenizer.with_truncation(None).map_err(Failure::invalid)?;
    tokenizer.with_padding(None);
    let vocab_size = check_ids(json, &tokenizer)?;
    Ok(Box::into_raw(Box::new(Handle {
        tokenizer,
        vocab_size,
    })))
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_load(
    json: *const u8,
    size: usize,
    handle: *mut *mut Handle,
    error: *mut *mut c_char,
) -> Status {
    guard(handle, error, || load(text(json, size)?))
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_free(handle: *mut Handle) {
    if !handle.is_null() {
        drop(Box::from_raw(handle));
    }
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_encode(
    handle: *const Handle,
    data: *const u8,
    size: usize,
    add_special: c_int,
    ids: *mut Buffer<u32>,
    error: *mut *mut c_char,
) -> Status {
    guard(ids, error, || {
        let encoding = (*handle)
            .tokenizer
            .encode_fast(text(data, size)?, flag(add_special))
            .map_err(Failure::invalid)?;
        Ok(encoding.get_ids().to_vec().into())
    })
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_decode(
    handle: *const Handle,
    ids: *const u32,
    count: usize,
    skip_special: c_int,
    bytes: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    guard(bytes, error, || {
        let decoded = (*handle)
            .tokenizer
            .decode(slice(ids, count), flag(skip_special))
            .map_err(Failure::invalid)?;
        Ok(decoded.into_bytes().into())
    })
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_vocab_size(handle: *const Handle) -> u32 {
    (*handle).vocab_size
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_token_to_id(
    handle: *const Handle,
    token: *const u8,
    size: usize,
) -> i64 {
    match text(token, size) {
        Ok(token) => (*handle).tokenizer.token_to_id(token).map_or(-1, i64::from),
        Err(_) => -1,
    }
}

#[no_mangle]
pub unsafe extern "C" fn bsb_tokenizer_id_to_token(
    handle: *const Handle,
    id: u32,
    token: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    match (*handle).tokenizer.id_to_token(id) {
        Some(found) => guard(token, error, || Ok(found.into_bytes().into())),
        None => Status::NotFound,
    }
}

pub struct Stream {
    skip_special: bool,
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

#[no_mangle]
pub extern "C" fn bsb_stream_new(skip_special: c_int) -> *mut Stream {
    Box::into_raw(Box::new(Stream {
        skip_special: flag(skip_special),
        ids: Vec::new(),
        prefix: String::new(),
        prefix_index: 0,
    }))
}

#[no_mangle]
pub unsafe extern "C" fn bsb_stream_free(stream: *mut Stream) {
    if !stream.is_null() {
        drop(Box::from_raw(stream));
    }
}

#[no_mangle]
pub unsafe extern "C" fn bsb_stream_push(
    stream: *mut Stream,
    handle: *const Handle,
    id: u32,
    bytes: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    let stream = &mut *stream;
    guard(bytes, error, || {
        let piece = tokenizers::tokenizer::step_decode_stream(
            &(*handle).tokenizer,
            vec![id],
            stream.skip_special,
            &mut stream.ids,
            &mut stream.prefix,
            &mut stream.prefix_index,
        )
        .map_err(Failure::invalid)?;
        Ok(piece.unwrap_or_default().into_bytes().into())
    })
}
