//! Questions that only the admin client can put: how a topic is cleaned, and to make one.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use super::KafkaError;
use super::notice::Notices;
use super::properties::config_error;

fn admin(config: &ClientConfig) -> Result<AdminClient<Notices>, KafkaError> {
    config.create_with_context(Notices::default()).map_err(config_error)
}

fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

/// `cleanup.policy` of each topic; `None` where the broker does not tell.
pub(super) fn cleanup_policies(
    config: &ClientConfig,
    topics: &[String],
    timeout: Duration,
) -> Result<Vec<Option<String>>, KafkaError> {
    let admin = admin(config)?;
    let resources: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let told = wait(admin.describe_configs(&resources, &options(timeout))).unwrap_or_default();
    let policy = |at: usize| told.get(at)?.as_ref().ok()?.get("cleanup.policy")?.value.clone();
    Ok((0..topics.len()).map(policy).collect())
}

/// Whether the topic was made; `false` where it was there.
pub(crate) fn create_topic(
    config: &ClientConfig,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
    timeout: Duration,
) -> Result<bool, String> {
    let admin = admin(config).map_err(|error| error.to_string())?;
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
    let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    let results = wait(admin.create_topics([&topic], &options(timeout))).map_err(|error| error.to_string())?;
    match results.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code))) => Err(code.to_string()),
        _ => Ok(true),
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The admin client answers by futures, and this is all the executor that two questions need.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
