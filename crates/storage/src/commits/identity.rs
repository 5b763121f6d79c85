//! An identity says who writes: the name of a writer, and which start of a process it is.

use crate::store::StoreError;

/// The name of the writer of a directory, as long as there is one.
pub const WRITER: &str = "main";

/// Who writes: what its manifests say of it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The writer's name, [`WRITER`] unless there are several: 1 to 64 of `a-z`, `0-9`, `_`, `-`.
    pub writer: String,
    /// 128 random bits, anew at each start of a process.
    pub incarnation: u128,
    /// Version of the product.
    pub version: String,
    /// Hash of the effective configuration, hex.
    pub config: String,
}

impl Identity {
    /// 128 random bits of the operating system.
    ///
    /// # Errors
    /// It has none to give.
    pub fn random_incarnation() -> Result<u128, StoreError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
            doing: "take random bits from",
            path: "the operating system".into(),
            source: std::io::Error::other(error),
        })?;
        Ok(u128::from_le_bytes(bytes))
    }
}
