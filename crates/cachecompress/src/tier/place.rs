//! The place of a shared store, opened from its URL and the environment.

use std::path::Path as DiskPath;
use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::error::Error;
use crate::limits::{TIER_CALL, TIER_CONNECT};

/// A store and the prefix of all our objects in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// The place for people and logs, without a user's name and password.
    pub(super) name: String,
}

/// The settings of a client, by key and value, that are the same for all services.
///
/// The defaults would let a call connect for 5 s, last for 30 s, and be tried ten times in 180 s.
fn client_options(endpoint: Option<String>) -> Vec<(ClientConfigKey, String)> {
    let milliseconds = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let mut options = vec![
        (ClientConfigKey::ConnectTimeout, milliseconds(TIER_CONNECT)),
        (ClientConfigKey::Timeout, milliseconds(TIER_CALL)),
        (ClientConfigKey::UserAgent, concat!("cachecompress/", env!("CARGO_PKG_VERSION")).into()),
    ];
    // Whoever writes `http:` means it.
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        options.push((ClientConfigKey::AllowHttp, "true".into()));
    }
    options
}

/// No call is tried again: a request's way has no time for it, and the background has its own rules.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: TIER_CALL, ..RetryConfig::default() }
}

impl Place {
    /// Opens the store at `url`. A text without a scheme is a directory. Reads the environment variables
    /// that are usual for the service, and sends nothing.
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        let failed = |error: object_store::Error| {
            Error::config(format!(
                "the shared store \"{}\" cannot be opened",
                without_password(url)
            ))
            .with_cause(error)
        };
        if !url.contains("://") {
            return Self::directory(DiskPath::new(url), Path::default());
        }
        let parsed = Url::from_str(url).map_err(|error| malformed(url).with_cause(error))?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&parsed).map_err(|_| malformed(url))?;
        let store: Arc<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::from_env().with_url(url).with_retry(no_retries());
                let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
                let builder =
                    client_options(endpoint).into_iter().fold(builder, |builder, (key, value)| {
                        builder.with_config(AmazonS3ConfigKey::Client(key), value)
                    });
                Arc::new(builder.build().map_err(failed)?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder =
                    GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(no_retries());
                let builder =
                    client_options(None).into_iter().fold(builder, |builder, (key, value)| {
                        builder.with_config(GoogleConfigKey::Client(key), value)
                    });
                Arc::new(builder.build().map_err(failed)?)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder =
                    MicrosoftAzureBuilder::from_env().with_url(url).with_retry(no_retries());
                let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
                let builder =
                    client_options(endpoint).into_iter().fold(builder, |builder, (key, value)| {
                        builder.with_config(AzureConfigKey::Client(key), value)
                    });
                Arc::new(builder.build().map_err(failed)?)
            }
            ObjectStoreScheme::Local => {
                let directory = parsed.to_file_path().map_err(|()| malformed(url))?;
                return Self::directory(&directory, Path::default());
            }
            ObjectStoreScheme::Memory => Arc::new(InMemory::new()),
            _ => return Err(malformed(url)),
        };
        Ok(Self { store, prefix, name: without_password(url) })
    }

    fn directory(directory: &DiskPath, prefix: Path) -> Result<Self, Error> {
        let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| {
            Error::config("there is no directory for a shared store at")
                .with_path(directory)
                .with_cause(error)
        })?;
        Ok(Self { store: Arc::new(store), prefix, name: directory.display().to_string() })
    }
}

fn malformed(url: &str) -> Error {
    Error::config(format!(
        "\"{}\" is no place of a shared store: it takes s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
         az://CONTAINER/PREFIX, or a directory",
        without_password(url)
    ))
}

/// The URL without the user's name and password, and without its query, for logs.
fn without_password(url: &str) -> String {
    let Ok(mut parsed) = Url::from_str(url) else {
        // A text that is no URL may have a password in it all the same.
        return url.rsplit('@').next().unwrap_or(url).to_owned();
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.to_string()
}
