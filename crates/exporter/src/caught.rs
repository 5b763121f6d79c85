//! Decoders of others assert some of what damaged bytes can break. What they assert is caught where they are called,
//! and is an error there.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoder and gives its assertion back as a text. Nothing that it left half done may be used afterwards.
pub(crate) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| "its decoder gave up".to_owned(), |text| text.to_string())
        }
    })
}
