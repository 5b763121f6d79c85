//! The way to an object store: from a URL and the environment to a prefix of a bucket.

use super::error::StoreError;
use object_store::ObjectStore;
use std::sync::Arc;

/// Without the feature there is none.
#[cfg(not(feature = "object-stores"))]
pub(super) fn connect(url: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Err(StoreError::NotBuilt { url: url.to_owned() })
}

/// The store that `url` names, its root at the prefix. Credentials and endpoint come from the environment. Nothing is
/// asked yet.
#[cfg(feature = "object-stores")]
pub(super) fn connect(url: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    use object_store::{
        aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, prefix::PrefixStore,
    };
    let unknown = |why: &'static str| StoreError::Url { url: url.to_owned(), why };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| unknown("it has no scheme"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(unknown("it names no bucket"));
    }
    let odd = || unknown("its path has empty or odd parts");
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    // Told here, for else they would be left out in silence, and it would be another place.
    if prefix.split('/').any(str::is_empty) && !prefix.is_empty() {
        return Err(odd());
    }
    let prefix = object_store::path::Path::parse(prefix).map_err(|_| odd())?;
    // Told apart from the path, which the builders would look into.
    let root = format!("{scheme}://{bucket}");
    let built = |error| StoreError::Objects { doing: "use", path: url.to_owned(), error };
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    fn at<S: ObjectStore>(store: S, prefix: object_store::path::Path) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(store, prefix))
    }
    match scheme {
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_url(root).with_retry(retries());
            Ok(at(builder.build().map_err(built)?, prefix))
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(root).with_retry(retries());
            Ok(at(builder.build().map_err(built)?, prefix))
        }
        "az" | "azure" | "abfs" | "abfss" => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(root).with_retry(retries());
            Ok(at(builder.build().map_err(built)?, prefix))
        }
        _ => Err(unknown("the scheme is not one of s3, gs, az, abfs, abfss, file")),
    }
}

/// Some seconds, for what is over soon: whoever can wait longer tries again.
#[cfg(feature = "object-stores")]
fn retries() -> object_store::RetryConfig {
    use std::time::Duration;
    object_store::RetryConfig {
        max_retries: 6,
        retry_timeout: Duration::from_secs(30),
        backoff: object_store::BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
    }
}
