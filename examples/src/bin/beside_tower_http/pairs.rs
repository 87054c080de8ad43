//! Every way to build a `ServeDir` or a `ServeFile`, beside ours.
//!
//! `docs/from-tower-http.md` quotes this file.

use std::convert::Infallible;

use bytes::Bytes;
use cachecompress::{CleanUrls, Directory, ServeCompressed};
use cachecompress_examples::StartError;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tower::service_fn;
use tower_http::services::{ServeDir, ServeFile};

use crate::ask::{Ask, Side};
use crate::requests::{
    CONDITIONS, DIRECTORIES, EVERYDAY, MISSING, ONE_FILE, PAGES, RANGES, REDEPLOYED, REDIRECTS,
    SEVERAL_RANGES, SIBLINGS, STORE,
};
use crate::store::Shelf;

/// Two services that are to do the same, and the requests that both get.
pub(crate) struct Pair {
    /// The method of tower-http that it is about.
    pub(crate) name: &'static str,
    pub(crate) theirs: Side,
    pub(crate) ours: Side,
    pub(crate) asks: Vec<Ask>,
    /// The services from which the clients have their validators, if not from the two.
    pub(crate) earlier: Option<(Side, Side)>,
    /// The prefix that a router has taken from each path.
    pub(crate) mount: &'static str,
}

type Built = Result<Pair, StartError>;

/// All pairs. The directory `dist` is in the current one.
pub(crate) fn all() -> Result<Vec<Pair>, StartError> {
    [
        new,
        new_after_a_redeploy,
        append_index_html_on_directories,
        redirect_to_trailing_slash,
        html_as_default_extension,
        redirect_path_prefix,
        with_buf_chunk_size,
        ignore_multi_range_requests,
        precompressed,
        fallback,
        not_found_service,
        not_found_service_of_the_program,
        call_fallback_on_method_not_allowed,
        try_call,
        with_backend,
        file,
        file_new_with_mime,
        file_with_siblings,
    ]
    .iter()
    .map(|build| build())
    .collect()
}

fn pair(name: &'static str, theirs: Side, ours: Side, asks: &[&[&'static str]]) -> Pair {
    let asks = asks.iter().flat_map(|list| list.iter()).map(|line| Ask(line)).collect();
    Pair { name, theirs, ours, asks, earlier: None, mount: "" }
}

fn new() -> Built {
    let theirs = ServeDir::new("dist");
    let ours = ServeCompressed::new("dist")?;
    let asks = [EVERYDAY, CONDITIONS, RANGES];
    Ok(pair("ServeDir::new", Side::new(theirs), Side::new(ours), &asks))
}

fn new_after_a_redeploy() -> Built {
    let theirs = |directory| Side::new(ServeDir::new(directory));
    let ours =
        |directory| -> Result<_, StartError> { Ok(Side::new(ServeCompressed::new(directory)?)) };
    let earlier = (theirs("dist"), ours("dist")?);
    let now = pair(
        "ServeDir::new, after a redeploy",
        theirs("redeployed"),
        ours("redeployed")?,
        &[REDEPLOYED],
    );
    Ok(Pair { earlier: Some(earlier), ..now })
}

fn append_index_html_on_directories() -> Built {
    let theirs = ServeDir::new("dist").append_index_html_on_directories(false);
    let ours = ServeCompressed::builder(Directory::new("dist")?).index([""; 0]).build()?;
    Ok(pair(
        "append_index_html_on_directories(false)",
        Side::new(theirs),
        Side::new(ours),
        &[DIRECTORIES],
    ))
}

fn redirect_to_trailing_slash() -> Built {
    let theirs = ServeDir::new("dist").redirect_to_trailing_slash(false);
    let ours = ServeCompressed::new("dist")?;
    Ok(pair(
        "redirect_to_trailing_slash(false)",
        Side::new(theirs),
        Side::new(ours),
        &[DIRECTORIES],
    ))
}

fn html_as_default_extension() -> Built {
    let theirs = ServeDir::new("dist").html_as_default_extension(true);
    let files = Directory::new("dist")?;
    let ours = ServeCompressed::builder(files).clean_urls(CleanUrls::Serve).build()?;
    Ok(pair("html_as_default_extension(true)", Side::new(theirs), Side::new(ours), &[PAGES]))
}

fn redirect_path_prefix() -> Built {
    let theirs = ServeDir::new("dist").redirect_path_prefix("/static");
    let ours = ServeCompressed::new("dist")?;
    let nested =
        pair("redirect_path_prefix(\"/static\")", Side::new(theirs), Side::new(ours), &[REDIRECTS]);
    Ok(Pair { mount: "/static", ..nested })
}

fn with_buf_chunk_size() -> Built {
    let theirs = ServeDir::new("dist").with_buf_chunk_size(1024);
    let ours = ServeCompressed::new("dist")?;
    let asks: &[&str] = &["GET /tides.json", "GET /tides.json | range: bytes=1000-9999"];
    Ok(pair("with_buf_chunk_size(1024)", Side::new(theirs), Side::new(ours), &[asks]))
}

fn ignore_multi_range_requests() -> Built {
    let theirs = ServeDir::new("dist").ignore_multi_range_requests(true);
    let ours = ServeCompressed::new("dist")?;
    Ok(pair(
        "ignore_multi_range_requests(true)",
        Side::new(theirs),
        Side::new(ours),
        &[SEVERAL_RANGES],
    ))
}

fn precompressed() -> Built {
    let theirs = ServeDir::new("siblings")
        .precompressed_gzip()
        .precompressed_br()
        .precompressed_deflate()
        .precompressed_zstd();
    let ours = ServeCompressed::new("siblings")?;
    Ok(pair("precompressed_gzip() and its kin", Side::new(theirs), Side::new(ours), &[SIBLINGS]))
}

/// A page that the program makes for what is not there.
async fn missing(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("{} is not here\n", request.uri().path()))))
}

fn fallback() -> Built {
    let theirs = ServeDir::new("dist").fallback(service_fn(missing));
    let ours = ServeCompressed::new("dist")?.fallback(service_fn(missing));
    Ok(pair("fallback(service)", Side::new(theirs), Side::new(ours), &[MISSING]))
}

fn not_found_service() -> Built {
    let theirs = ServeDir::new("dist").not_found_service(ServeFile::new("dist/404.html"));
    let ours = ServeCompressed::builder(Directory::new("dist")?).not_found("404.html").build()?;
    Ok(pair("not_found_service(ServeFile)", Side::new(theirs), Side::new(ours), &[MISSING]))
}

fn not_found_service_of_the_program() -> Built {
    let theirs = ServeDir::new("dist").not_found_service(service_fn(missing));
    let ours = ServeCompressed::new("dist")?.not_found_service(service_fn(missing));
    Ok(pair("not_found_service(service)", Side::new(theirs), Side::new(ours), &[MISSING]))
}

fn call_fallback_on_method_not_allowed() -> Built {
    let theirs = ServeDir::new("dist")
        .fallback(service_fn(missing))
        .call_fallback_on_method_not_allowed(true);
    let ours = ServeCompressed::builder(Directory::new("dist")?)
        .call_fallback_on_method_not_allowed(true)
        .build()?
        .fallback(service_fn(missing));
    Ok(pair(
        "call_fallback_on_method_not_allowed(true)",
        Side::new(theirs),
        Side::new(ours),
        &[MISSING],
    ))
}

/// The response to an error that `try_call` has returned. Its status is one that nobody else sends.
fn told<E>(kind: &dyn std::fmt::Debug) -> Response<UnsyncBoxBody<Bytes, E>> {
    let body = Full::from(format!("{kind:?}")).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

fn try_call() -> Built {
    let theirs = ServeDir::with_backend("", Shelf);
    let theirs = service_fn(move |request: Request<()>| {
        let mut theirs = theirs.clone();
        async move {
            Ok::<_, Infallible>(match theirs.try_call(request).await {
                Ok(response) => response.map(BodyExt::boxed_unsync),
                Err(error) => told(&error.kind()),
            })
        }
    });
    let ours = ServeCompressed::builder(Shelf).build()?;
    let ours = service_fn(move |request: Request<()>| {
        let ours = ours.clone();
        async move {
            Ok::<_, Infallible>(match ours.try_call(request).await {
                Ok(response) => response.map(BodyExt::boxed_unsync),
                Err(error) => told(&error.kind()),
            })
        }
    });
    Ok(pair("try_call(request)", Side::new(theirs), Side::new(ours), &[STORE]))
}

fn with_backend() -> Built {
    let theirs = ServeDir::with_backend("", Shelf);
    let ours = ServeCompressed::builder(Shelf).build()?;
    Ok(pair("ServeDir::with_backend", Side::new(theirs), Side::new(ours), &[STORE]))
}

fn file() -> Built {
    let theirs = ServeFile::new("dist/index.html");
    let ours = ServeCompressed::file("dist/index.html")?;
    Ok(pair("ServeFile::new", Side::new(theirs), Side::new(ours), &[ONE_FILE]))
}

fn file_new_with_mime() -> Built {
    let theirs = ServeFile::new_with_mime("dist/LICENSE", &mime::TEXT_PLAIN_UTF_8);
    let ours = ServeCompressed::builder(Directory::new("dist")?)
        .only("LICENSE")
        .header("LICENSE", "content-type", "text/plain; charset=utf-8")
        .build()?;
    let asks: &[&str] = &["GET /", "GET / | accept-encoding: gzip"];
    Ok(pair("ServeFile::new_with_mime", Side::new(theirs), Side::new(ours), &[asks]))
}

fn file_with_siblings() -> Built {
    let theirs = ServeFile::new("siblings/style.css")
        .precompressed_gzip()
        .precompressed_br()
        .precompressed_deflate()
        .precompressed_zstd()
        .with_buf_chunk_size(1024)
        .ignore_multi_range_requests(true);
    let ours = ServeCompressed::file("siblings/style.css")?;
    Ok(pair("ServeFile, other methods", Side::new(theirs), Side::new(ours), &[ONE_FILE]))
}
