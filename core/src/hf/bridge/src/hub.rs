// SPDX-License-Identifier: GPL-3.0-or-later
//! Snapshots of the Hub in its standard cache folder.

use crate::{c_text, guard, Buffer, Failure, Outcome, Status};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::api::Progress;
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};
use std::ffi::{c_char, c_int, c_void, CString};
use std::path::{Component, Path, PathBuf};

type ProgressCall = extern "C" fn(*mut c_void, *const c_char, u64, u64) -> c_int;

#[repr(C)]
pub struct Request {
    repository: *const c_char,
    revision: *const c_char,
    is_dataset: c_int,
    patterns: *const c_char,
    progress: Option<ProgressCall>,
    context: *mut c_void,
}

/// Payload of the unwinding that a cancelled download uses: the crate's progress interface has no
/// other way out.
struct CancelMarker;

struct Reporter<'a> {
    request: &'a Request,
    file: CString,
    done: u64,
    total: u64,
}

impl Reporter<'_> {
    fn report(&self) {
        if let Some(call) = self.request.progress {
            if call(
                self.request.context,
                self.file.as_ptr(),
                self.done,
                self.total,
            ) != 0
            {
                std::panic::resume_unwind(Box::new(CancelMarker));
            }
        }
    }
}

impl Progress for Reporter<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.total = size as u64;
        self.done = 0;
        self.report();
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.report();
    }

    fn finish(&mut self) {}
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            matches(&pattern[1..], name) || (!name.is_empty() && matches(pattern, &name[1..]))
        }
        (Some(wanted), Some(found)) => wanted == found && matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

/// Whether a pattern of the list wants the file and no pattern that begins with `!` excludes it.
fn is_wanted(patterns: &str, file: &str) -> bool {
    let mut wanted = false;
    for pattern in patterns.lines() {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(excluded.as_bytes(), file.as_bytes()) => return false,
            Some(_) => {}
            None => wanted |= matches(pattern.as_bytes(), file.as_bytes()),
        }
    }
    wanted
}

/// File names come from a server and become paths.
fn is_plain(name: &str) -> bool {
    !name.contains(['\\', ':'])
        && !name.chars().any(char::is_control)
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_string())
        .filter(|value| !value.is_empty())
}

fn is_offline() -> bool {
    ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
        .iter()
        .any(|name| {
            variable(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        })
}

fn cache() -> Cache {
    match variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE")) {
        Some(folder) => Cache::new(folder.into()),
        None => Cache::from_env(),
    }
}

fn token(cache: &Cache) -> Option<String> {
    let from_path = variable("HF_TOKEN_PATH").and_then(|path| std::fs::read_to_string(path).ok());
    variable("HF_TOKEN")
        .or_else(|| from_path.map(|text| text.trim().to_string()))
        .or_else(|| Cache::from_env().token())
        .or_else(|| cache.token())
}

fn failure(error: ApiError) -> Failure {
    let text = error.to_string();
    let status = match error {
        ApiError::RequestError(request) => match *request {
            ureq::Error::Status(code, _) => match code {
                401 | 403 => Status::Denied,
                404 => Status::NotFound,
                429 => Status::RateLimited,
                _ => Status::Server,
            },
            ureq::Error::Transport(_) => Status::NoNetwork,
        },
        ApiError::TooManyRetries(inner) => return failure(*inner),
        ApiError::IoError(_) | ApiError::LockAcquisition(_) => Status::Io,
        _ => Status::Server,
    };
    Failure(status, text)
}

/// Folder of a snapshot that is already in the cache.
fn cached_snapshot(cache: &Cache, repo: &Repo) -> Option<PathBuf> {
    let folder = cache.path().join(repo.folder_name());
    let commit = std::fs::read_to_string(folder.join("refs").join(repo.revision()))
        .map(|text| text.trim().to_string())
        .unwrap_or_else(|_| repo.revision().to_string());
    let snapshot = folder.join("snapshots").join(commit);
    snapshot.is_dir().then_some(snapshot)
}

/// Large files are stored under their SHA-256; whether the bytes agree. True for other files.
fn has_right_hash(file: &Path) -> Outcome<bool> {
    let io = |error: std::io::Error| Failure(Status::Io, error.to_string());
    let blob = std::fs::canonicalize(file).map_err(io)?;
    let name = blob
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(true);
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(&blob).map_err(io)?, &mut hash).map_err(io)?;
    let found: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found == name.to_ascii_lowercase() {
        return Ok(true);
    }
    std::fs::remove_file(&blob).map_err(io)?;
    let _ = std::fs::remove_file(file);
    Ok(false)
}

fn download(request: &Request, repo: &ApiRepo, name: &str) -> Outcome<()> {
    for _ in 0..2 {
        let reporter = Reporter {
            request,
            file: CString::new(name).unwrap_or_default(),
            done: 0,
            total: 0,
        };
        let path = repo
            .download_with_progress(name, reporter)
            .map_err(failure)?;
        if has_right_hash(&path)? {
            return Ok(());
        }
    }
    Err(Failure(
        Status::Corrupt,
        format!("{name}: the hash of the download is wrong"),
    ))
}

unsafe fn snapshot(request: &Request) -> Outcome<PathBuf> {
    let kind = if request.is_dataset != 0 {
        RepoType::Dataset
    } else {
        RepoType::Model
    };
    let repo = Repo::with_revision(
        c_text(request.repository)?.to_string(),
        kind,
        c_text(request.revision)?.to_string(),
    );
    let cache = cache();
    if is_offline() {
        return cached_snapshot(&cache, &repo).ok_or_else(|| {
            Failure(
                Status::NoNetwork,
                "offline mode is on and the cache has no copy".into(),
            )
        });
    }
    let mut builder = ApiBuilder::from_cache(cache.clone())
        .with_token(token(&cache))
        .with_progress(false)
        .with_retries(5);
    if let Some(endpoint) = variable("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_string());
    }
    let api = builder.build().map_err(failure)?;
    let info = api.repo(repo.clone()).info().map_err(failure)?;
    if !is_plain(&info.sha) {
        return Err(Failure(Status::Server, "the server named no commit".into()));
    }
    let folder = cache
        .path()
        .join(repo.folder_name())
        .join("snapshots")
        .join(&info.sha);
    // By commit: a branch that moves meanwhile cannot mix two versions.
    let fixed = Repo::with_revision(
        c_text(request.repository)?.to_string(),
        kind,
        info.sha.clone(),
    );
    let fixed = api.repo(fixed);
    let patterns = c_text(request.patterns)?;
    let mut found = 0;
    for file in info
        .siblings
        .iter()
        .map(|sibling| sibling.rfilename.as_str())
    {
        if !is_wanted(patterns, file) {
            continue;
        }
        if !is_plain(file) {
            return Err(Failure(
                Status::Server,
                format!("{file:?} is not a plain file name"),
            ));
        }
        found += 1;
        if !folder.join(file).exists() {
            download(request, &fixed, file)?;
        }
    }
    if found == 0 {
        return Err(Failure(
            Status::NotFound,
            "no file of the repository is of a wanted kind".into(),
        ));
    }
    if repo.revision() != info.sha {
        cache
            .repo(repo)
            .create_ref(&info.sha)
            .map_err(|error| Failure(Status::Io, error.to_string()))?;
    }
    Ok(folder)
}

#[no_mangle]
pub unsafe extern "C" fn bsb_hub_snapshot(
    request: *const Request,
    folder: *mut Buffer<u8>,
    error: *mut *mut c_char,
) -> Status {
    guard(folder, error, || {
        let body = std::panic::AssertUnwindSafe(|| snapshot(&*request));
        match std::panic::catch_unwind(body) {
            Ok(outcome) => Ok(outcome?.to_string_lossy().into_owned().into_bytes().into()),
            Err(payload) if payload.is::<CancelMarker>() => {
                Err(Failure(Status::Cancelled, "cancelled".into()))
            }
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}
