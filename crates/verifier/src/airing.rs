//! An airing by which rows are told apart: all that the verifier compares, it compares airing by airing.

use audience::Ms;
use audience::time::rfc3339;
use storage::Stored;

/// (number of the broadcast, airing_at).
pub(super) type Airing = (u32, Ms);

/// An airing by its name.
pub(super) fn named(stored: &Stored, airing: &Airing) -> String {
    format!("broadcast {:?}, airing {}", stored.broadcast_ids()[airing.0 as usize], rfc3339(airing.1))
}
