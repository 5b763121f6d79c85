//! Documents for a terminal or a pipe: plain text of a given width, in colour where that is wanted.

pub mod airings;
pub mod curve;
pub mod draw;
mod look;

pub use look::{Look, Paint};
