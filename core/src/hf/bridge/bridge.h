// SPDX-License-Identifier: GPL-3.0-or-later
// C interface of the Rust crate in this folder. Only the C++ wrappers beside it include this.
//
// Every function that can fail returns a bsb_status and, when it is not BSB_OK, sets `*error` to a
// text that the caller frees with bsb_text_free. Buffers of type bsb_bytes belong to the caller and
// are freed with bsb_bytes_free. Texts are UTF-8 and need no terminating zero. No panic of the
// Rust side leaves it: it becomes BSB_PANIC.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bsb_status
{
    BSB_OK = 0,
    BSB_INVALID = 1, /* the input is damaged or not of this kind */
    BSB_LIMIT = 2, /* a step, size or depth limit was hit */
    BSB_RAISED = 3, /* a template called raise_exception */
    BSB_NOT_FOUND = 4,
    BSB_NO_NETWORK = 5,
    BSB_DENIED = 6, /* 401, 403 */
    BSB_RATE_LIMITED = 7, /* 429 */
    BSB_CANCELLED = 8,
    BSB_IO = 9,
    BSB_UNSUPPORTED = 10,
    BSB_CORRUPT = 11, /* a download whose hash is wrong twice */
    BSB_SERVER = 12, /* any other answer of a server */
    BSB_PANIC = 99
} bsb_status;

typedef struct bsb_bytes
{
    uint8_t* data;
    size_t size;
    size_t capacity;
} bsb_bytes;

typedef struct bsb_ids
{
    uint32_t* data;
    size_t size;
    size_t capacity;
} bsb_ids;

void bsb_text_free(char* text);
void bsb_bytes_free(bsb_bytes bytes);
void bsb_ids_free(bsb_ids ids);

/* Tokenizer. All functions but load and free may be called from several threads. */
typedef struct bsb_tokenizer bsb_tokenizer;

bsb_status bsb_tokenizer_load(
    const uint8_t* json, size_t size, bsb_tokenizer** tokenizer, char** error);
void bsb_tokenizer_free(bsb_tokenizer* tokenizer);
bsb_status bsb_tokenizer_encode(const bsb_tokenizer* tokenizer, const uint8_t* text, size_t size,
    int add_special, bsb_ids* ids, char** error);
bsb_status bsb_tokenizer_decode(const bsb_tokenizer* tokenizer, const uint32_t* ids, size_t count,
    int skip_special, bsb_bytes* text, char** error);
/* Highest id, added tokens included, plus one. */
uint32_t bsb_tokenizer_vocab_size(const bsb_tokenizer* tokenizer);
/* -1 when there is no such token. */
int64_t bsb_tokenizer_token_to_id(
    const bsb_tokenizer* tokenizer, const uint8_t* token, size_t size);
/* BSB_NOT_FOUND, without an error text, when there is no such id. */
bsb_status bsb_tokenizer_id_to_token(
    const bsb_tokenizer* tokenizer, uint32_t id, bsb_bytes* token, char** error);

/* Decodes id by id; `text` is what became complete with this id and may be empty. */
typedef struct bsb_stream bsb_stream;
bsb_stream* bsb_stream_new(int skip_special);
void bsb_stream_free(bsb_stream* stream);
bsb_status bsb_stream_push(
    bsb_stream* stream, const bsb_tokenizer* tokenizer, uint32_t id, bsb_bytes* text, char** error);

/* Chat template. */
typedef struct bsb_template_limits
{
    uint64_t fuel; /* instructions of the template's byte code */
    size_t max_output; /* bytes */
    size_t max_depth; /* nested macros and includes */
    int64_t now; /* seconds since 1970 that strftime_now formats, UTC */
} bsb_template_limits;

/* `context` is a JSON object: messages, bos_token, add_generation_prompt, … */
bsb_status bsb_template_render(const uint8_t* source, size_t source_size, const uint8_t* context,
    size_t context_size, const bsb_template_limits* limits, bsb_bytes* text, char** error);

/* Hub. Obeys HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE. */
typedef struct bsb_hub_request
{
    const char* repository; /* org/name */
    const char* revision; /* branch, tag or commit */
    int is_dataset;
    /* Patterns, one a line, with `*` (also over `/`); a file that matches one of them is fetched,
       unless it matches one that begins with `!`. */
    const char* patterns;
    /* Called often with the file in work; returns nonzero to cancel. May be null. */
    int (*progress)(void* context, const char* file, uint64_t done, uint64_t total);
    void* context;
} bsb_hub_request;

/* `folder` becomes the path of the snapshot folder in the cache. */
bsb_status bsb_hub_snapshot(const bsb_hub_request* request, bsb_bytes* folder, char** error);

/* Parquet. */
typedef struct bsb_parquet bsb_parquet;

bsb_status bsb_parquet_open(const char* path, bsb_parquet** file, char** error);
void bsb_parquet_free(bsb_parquet* file);
int64_t bsb_parquet_rows(const bsb_parquet* file);
/* JSON array of {"name", "type"}; type is string, bytes, boolean, integer, number, list or group. */
bsb_status bsb_parquet_columns(const bsb_parquet* file, bsb_bytes* json, char** error);
/* Chooses top-level columns, named one a line, and starts at the first row. */
bsb_status bsb_parquet_select(bsb_parquet* file, const char* columns, char** error);
/* JSON array of objects, at most `max_rows`; an empty array at the end. */
bsb_status bsb_parquet_next(bsb_parquet* file, size_t max_rows, bsb_bytes* json, char** error);

#ifdef __cplusplus
}
#endif
