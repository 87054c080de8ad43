//! The files of a directory and their codings, by a service of the library.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cachecompress::{
    Body, Cache, CacheStatus, ContentCoding, Detail, Digest, Directory, Forward, Memory,
    Preference, ServeCompressed, Source as _, SourcePath, WarmOptions,
};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;

use crate::error::Error;

/// The bytes of the cache. It takes entries of up to a quarter of them.
const CACHE_BYTES: u64 = 16 << 30;

/// The bytes a second of processor time below which encoders count as not optimised. Optimised ones take
/// 500,000 and more in the three codings at their best levels, others a fiftieth of that.
const SLOW: f64 = 50_000.0;

/// The processor time from which it is worth a warning that encoders are slow.
const LONG: Duration = Duration::from_secs(5);

/// A file to embed.
pub(crate) struct EncodedFile {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) is_utf8: bool,
    pub(crate) codings: Vec<EncodedCoding>,
}

/// A coding of a file; without a payload if that saves too little.
pub(crate) struct EncodedCoding {
    pub(crate) coding: ContentCoding,
    pub(crate) payload: Option<Vec<u8>>,
}

/// Reads the files of `directory` that are `wanted`, in order of their paths.
pub(crate) fn read_files(
    directory: &Path,
    dotfiles: bool,
    wanted: impl Fn(&SourcePath) -> bool,
) -> Result<Vec<EncodedFile>, Error> {
    let source = Directory::new(directory)
        .map_err(|error| Error::new("there is no directory to embed").because(error))?;
    let mut files = Vec::new();
    for path in source.dotfiles(dotfiles).paths()?.iter().filter(|path| wanted(path)) {
        let name = path.as_str().ok_or_else(|| {
            Error::new(format!("the name of the file {path} is not UTF-8: rename or exclude it"))
        })?;
        let on_disk = directory.join(name);
        let bytes = fs::read(&on_disk)
            .map_err(|error| Error::of_path("cannot read the file", &on_disk, error))?;
        let digest = Digest::of(&bytes);
        let (path, codings) = (name.to_owned(), Vec::new());
        files.push(EncodedFile { path, bytes, digest, is_utf8: false, codings });
    }
    Ok(files)
}

/// Encodes `files` in the codings of `levels`. Entries of `cache` are taken as they are.
pub(crate) fn encode(
    files: &mut [EncodedFile],
    levels: &[(ContentCoding, i32)],
    cache: &Path,
) -> Result<(), Error> {
    let codings: Vec<_> = levels.iter().map(|(coding, _)| coding.clone()).collect();
    let source = files.iter().filter(|file| !is_svgz(file));
    let source = source
        .fold(Memory::new(), |source, file| source.file(file.path.as_str(), file.bytes.clone()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = ServeCompressed::builder(source)
        .cache(Cache::builder(cache).max_bytes(CACHE_BYTES).build()?)
        .preference(Preference::List(codings.clone()))
        .encode_threads(cores)
        .patience(Duration::MAX);
    for (coding, level) in levels {
        builder = builder.level(coding.clone(), *level);
    }
    let service = builder.build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::new("no runtime can be started").because(error))?;
    runtime.block_on(async {
        warm(&service).await?;
        for file in files.iter_mut().filter(|file| !is_svgz(file)) {
            fill(&service, &codings, file).await?;
        }
        Ok(())
    })
}

/// Whether the library takes the gzip of the file apart when it serves it.
fn is_svgz(file: &EncodedFile) -> bool {
    let end = file.path.rsplit_once('.').map(|(_, end)| end);
    end.is_some_and(|end| end.eq_ignore_ascii_case("svgz"))
}

/// Encodes all files on all cores.
async fn warm(service: &ServeCompressed) -> Result<(), Error> {
    let (mut bytes, mut took) = (0, Duration::ZERO);
    service
        .warm_with(WarmOptions::new(), |progress| {
            if let Some(warmed) = progress.latest.as_ref().filter(|warmed| !warmed.reused) {
                bytes += warmed.source_len;
                took += warmed.encode_time;
            }
        })
        .await?;
    if took > LONG && (bytes as f64) < SLOW * took.as_secs_f64() {
        println!(
            "cargo:warning=encoding took {} s, as Cargo does not optimise build scripts by itself: set \
             `opt-level = 3` in `[profile.dev.build-override]` and `[profile.release.build-override]`",
            took.as_secs()
        );
    }
    Ok(())
}

/// Takes the type and the codings of a file over.
async fn fill(
    service: &ServeCompressed,
    codings: &[ContentCoding],
    file: &mut EncodedFile,
) -> Result<(), Error> {
    let identity = ask(service, file, &ContentCoding::IDENTITY).await?;
    let media_type = identity.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    file.is_utf8 = media_type.is_some_and(|value| value.ends_with(b"charset=utf-8"));
    for coding in codings {
        let response = ask(service, file, coding).await?;
        let encoded = read_payload(file, coding, response).await?;
        file.codings.extend(encoded);
    }
    Ok(())
}

async fn ask(
    service: &ServeCompressed,
    file: &EncodedFile,
    coding: &ContentCoding,
) -> Result<Response<Body>, Error> {
    let request = Request::get("/").header(ACCEPT_ENCODING, coding.as_str()).body(());
    let request = request.map_err(|error| Error::new("a request is malformed").because(error))?;
    Ok(service.serve(&file.path, &request.into_parts().0).await)
}

/// Reads the payload of a response; `None` if files of its type are never encoded.
async fn read_payload(
    file: &EncodedFile,
    coding: &ContentCoding,
    response: Response<Body>,
) -> Result<Option<EncodedCoding>, Error> {
    let status = response.body().served().and_then(|served| served.cache_status);
    let payload = match status {
        None if response.status().is_success() => return Ok(None),
        Some(CacheStatus::Forward(Forward::Bypass(Detail::Small | Detail::Unprofitable))) => None,
        Some(
            CacheStatus::Hit
            | CacheStatus::Improved
            | CacheStatus::Forward(Forward::Stored | Forward::Collapsed),
        ) => Some(response.into_body().collect().await?.to_bytes().into()),
        why => {
            let why = why.map_or(response.status().to_string(), |why| why.as_str().to_owned());
            let path = &file.path;
            return Err(Error::new(format!("cannot encode the file {path} in {coding} ({why})")));
        }
    };
    Ok(Some(EncodedCoding { coding: coding.clone(), payload }))
}
