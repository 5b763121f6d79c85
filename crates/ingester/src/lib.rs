//! The way in: files and Kafka partitions become blocks of lines and batches of records, each byte with its place.
//!
//! Nothing is decoded or counted here, and no other crate of the workspace is known. Reading is pull-based: whoever
//! wants more asks for it, so back-pressure is that nobody asks. librdkafka is known here and nowhere else, so the
//! producer of `simulate` and the embedded broker of `demo` and of the tests live here, too.

pub mod embedded;
pub mod files;
pub mod kafka;
pub mod producer;
