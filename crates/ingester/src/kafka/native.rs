//! The native consumer is librdkafka's, driven by its batch call, which the safe wrapper does not offer.
//!
//! The batch call costs a third of a poll a record. That, and the ids of topics, of which the wrapper knows nothing
//! either, are the only reasons for raw pointers here; they do not leave this file.
#![expect(unsafe_code, reason = "the wrapper has neither call; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, addr_of};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
    rd_kafka_DescribeTopics, rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_name, rd_kafka_TopicDescription_topic_id,
    rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t, rd_kafka_assign,
    rd_kafka_commit, rd_kafka_conf_set_error_cb, rd_kafka_conf_set_log_cb, rd_kafka_consume_batch_queue,
    rd_kafka_error_destroy, rd_kafka_error_string, rd_kafka_error_t, rd_kafka_event_DescribeTopics_result,
    rd_kafka_event_destroy, rd_kafka_event_t, rd_kafka_get_watermark_offsets, rd_kafka_incremental_assign,
    rd_kafka_incremental_unassign, rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_message_timestamp,
    rd_kafka_opaque, rd_kafka_pause_partitions, rd_kafka_poll_set_consumer, rd_kafka_queue_destroy,
    rd_kafka_queue_get_consumer, rd_kafka_queue_get_main, rd_kafka_queue_new, rd_kafka_queue_poll, rd_kafka_queue_t,
    rd_kafka_resp_err_t, rd_kafka_resume_partitions, rd_kafka_seek_partitions, rd_kafka_t, rd_kafka_timestamp_type_t,
    rd_kafka_topic_name, rd_kafka_topic_t,
};
use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType};

use super::notice::Notices;

/// A consumer and the queue of what it fetched.
pub(super) struct Consumer {
    /// A reference of our own to the queue that everything of this client arrives in.
    queue: NonNull<rd_kafka_queue_t>,
    /// librdkafka wants one batch call at a time.
    draining: Mutex<()>,
    client: Client<Notices>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

// SAFETY: librdkafka's clients and queues may be used from any thread and by several at once.
unsafe impl Send for Consumer {}
// SAFETY: as above; the one exception is the batch call, which holds `draining`.
unsafe impl Sync for Consumer {}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given back once; the client, which the queue belongs to, is dropped
        // after this.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl Consumer {
    /// A consumer of these settings. With a `group.id` among them it can be assigned partitions.
    pub(super) fn new(config: &ClientConfig, notices: Notices) -> KafkaResult<Arc<Consumer>> {
        let native = config.create_native_config()?;
        // SAFETY: the settings are alive, and the callbacks have the signatures that librdkafka declares. Without them
        // it would write to standard error.
        unsafe {
            rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
            rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, notices)?;
        let rk = client.native_ptr();
        // SAFETY: the client is alive. With a group all its events come by the consumer's queue, else by the main one.
        let queue = unsafe {
            if config.get("group.id").is_some() {
                rd_kafka_poll_set_consumer(rk);
                rd_kafka_queue_get_consumer(rk)
            } else {
                rd_kafka_queue_get_main(rk)
            }
        };
        let queue = NonNull::new(queue).ok_or_else(|| ClientError::ClientCreation("it has no queue".to_owned()))?;
        Ok(Arc::new(Consumer { queue, draining: Mutex::new(()), client }))
    }

    pub(super) fn client(&self) -> &Client<Notices> {
        &self.client
    }

    /// Replaces the partitions that are read, each from its offset in the list.
    pub(super) fn assign(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client and list are alive; librdkafka copies the list.
        checked(unsafe { rd_kafka_assign(self.client.native_ptr(), partitions.ptr()) })
    }

    /// Adds partitions to those that are read.
    pub(super) fn assign_more(&self, partitions: &TopicPartitionList) -> Result<(), String> {
        // SAFETY: as in `assign`.
        without_error(unsafe { rd_kafka_incremental_assign(self.client.native_ptr(), partitions.ptr()) })
    }

    /// Begins partitions anew, each from its offset in the list, whatever has become of them. What was fetched of them
    /// and not handed out is thrown away.
    pub(super) fn assign_anew(&self, partitions: &TopicPartitionList) -> Result<(), String> {
        // SAFETY: as in `assign`.
        without_error(unsafe { rd_kafka_incremental_unassign(self.client.native_ptr(), partitions.ptr()) })?;
        self.assign_more(partitions)
    }

    /// Stops fetching; what was fetched ahead is thrown away.
    pub(super) fn pause(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client and list are alive.
        checked(unsafe { rd_kafka_pause_partitions(self.client.native_ptr(), partitions.ptr()) })
    }

    /// Goes on fetching.
    pub(super) fn resume(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client and list are alive.
        checked(unsafe { rd_kafka_resume_partitions(self.client.native_ptr(), partitions.ptr()) })
    }

    /// Fetches on from the offsets in the list. It takes effect before any later call on the same partitions.
    pub(super) fn seek(&self, partitions: &TopicPartitionList) -> Result<(), String> {
        // SAFETY: client and list are alive; without a time-out librdkafka does not write to the list after the call.
        without_error(unsafe { rd_kafka_seek_partitions(self.client.native_ptr(), partitions.ptr(), 0) })
    }

    /// Sends the offsets to the group's coordinator and does not wait; a failure becomes a notice.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: client and list are alive; librdkafka copies the list.
        checked(unsafe { rd_kafka_commit(self.client.native_ptr(), offsets.ptr(), 1) })
    }

    /// The high watermark that came with the last fetch.
    pub(super) fn cached_high(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: client and name are alive, and the two numbers are ours.
        let outcome = unsafe {
            rd_kafka_get_watermark_offsets(self.client.native_ptr(), topic.as_ptr(), partition, &mut low, &mut high)
        };
        (checked(outcome).is_ok() && high >= 0).then_some(high)
    }

    /// The ids of those of the topics that the broker tells one of; none where it does not answer in time.
    pub(super) fn topic_ids(&self, topics: &[String], timeout: Duration) -> Vec<(String, TopicId)> {
        let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        let rk = self.client.native_ptr();
        // SAFETY: client, names and queue are alive during the calls; librdkafka copies names and options, and takes
        // null for options. What is made here is given back here, once; an answer that comes after the queue is gone is
        // librdkafka's to drop.
        unsafe {
            let queue = rd_kafka_queue_new(rk);
            let options = rd_kafka_AdminOptions_new(rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
            let asked = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
            rd_kafka_DescribeTopics(rk, asked, options, queue);
            let answer = rd_kafka_queue_poll(queue, timeout_ms);
            let ids = ids_of(answer);
            rd_kafka_event_destroy(answer);
            rd_kafka_TopicCollection_destroy(asked);
            rd_kafka_AdminOptions_destroy(options);
            rd_kafka_queue_destroy(queue);
            ids
        }
    }

    /// Lets the client tell what happened to it, for callers who want no messages.
    pub(super) fn serve(self: &Arc<Self>, wait: Duration) {
        Messages::new(self).drain(wait, 1);
    }
}

/// The 128 bits of a topic's id.
pub(super) type TopicId = u128;

/// The ids that an answer holds. One of zeros says that the broker has none.
///
/// # Safety
/// `answer` is null or an event that is alive.
unsafe fn ids_of(answer: *mut rd_kafka_event_t) -> Vec<(String, TopicId)> {
    if answer.is_null() {
        return Vec::new();
    }
    let mut ids = Vec::new();
    // SAFETY: the event is alive, and what its result points to lives as long; an answer that failed holds no topics.
    unsafe {
        let result = rd_kafka_event_DescribeTopics_result(answer);
        if result.is_null() {
            return ids;
        }
        let mut count = 0;
        let told = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for place in 0..if told.is_null() { 0 } else { count } {
            let topic = *told.add(place);
            let id = rd_kafka_TopicDescription_topic_id(topic);
            let bits = [rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id)];
            let [high, low] = bits.map(|bits| u128::from(bits.cast_unsigned()));
            let id = high << 64 | low;
            if id != 0 {
                ids.push((text_of(rd_kafka_TopicDescription_name(topic)), id));
            }
        }
    }
    ids
}

fn checked(outcome: rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if outcome == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(outcome.into()) }
}

fn without_error(error: *mut rd_kafka_error_t) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is ours and alive; its text is copied before it is given back, once.
    unsafe {
        let text = text_of(rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        Err(text)
    }
}

/// Messages that librdkafka has handed out, in the order of their arrival. They keep their client alive.
pub(super) struct Messages {
    list: Vec<NonNull<rd_kafka_message_t>>,
    consumer: Arc<Consumer>,
}

// SAFETY: a message that was handed out is not written to any more, and may be destroyed on any thread.
unsafe impl Send for Messages {}
// SAFETY: as above.
unsafe impl Sync for Messages {}

impl Drop for Messages {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

impl Messages {
    pub(super) fn new(consumer: &Arc<Consumer>) -> Messages {
        Messages { list: Vec::new(), consumer: Arc::clone(consumer) }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes up to `room` messages more. Waits until there are so many, but not longer than `wait`.
    pub(super) fn drain(&mut self, wait: Duration, room: usize) {
        self.list.reserve(room);
        let spare = self.list.spare_capacity_mut().as_mut_ptr().cast::<*mut rd_kafka_message_t>();
        let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        let _one = self.consumer.draining.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the queue is alive, and `spare` has room for `room` pointers, which a NonNull is laid out as.
        let count = unsafe { rd_kafka_consume_batch_queue(self.consumer.queue.as_ptr(), wait_ms, spare, room) };
        let count = usize::try_from(count).unwrap_or(0).min(room);
        // SAFETY: librdkafka has written `count` pointers to messages, none of them null, and they are ours now.
        unsafe { self.list.set_len(self.list.len() + count) };
    }

    /// Gives back all messages from the place `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        for message in self.list.drain(len.min(self.list.len())..) {
            // SAFETY: the message is ours, is given back once, and its client is alive.
            unsafe { rd_kafka_message_destroy(message.as_ptr()) };
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.list.iter().map(|message| Message { native: *message, life: PhantomData })
    }
}

/// One message: a record, the end of a partition, or an error. It is borrowed from its [`Messages`], which keep it
/// alive, and nobody writes to it.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    native: NonNull<rd_kafka_message_t>,
    life: PhantomData<&'a Messages>,
}

impl<'a> Message<'a> {
    /// `NoError` for a record.
    pub(super) fn code(self) -> RDKafkaErrorCode {
        // SAFETY: the message is alive. The code is read as the number that it is in C: a broker newer than the
        // bindings may send one that their enum does not know.
        code_of(unsafe { addr_of!((*self.native.as_ptr()).err).cast::<c_int>().read() })
    }

    /// A number that stands for the topic within one consumer; 0 where the message is about none.
    pub(super) fn topic_key(self) -> usize {
        self.native_topic().addr()
    }

    pub(super) fn topic(self) -> &'a str {
        if self.native_topic().is_null() {
            return "";
        }
        // SAFETY: a message keeps its topic alive, and a topic's name does not change; Kafka's names are ASCII.
        unsafe { CStr::from_ptr(rd_kafka_topic_name(self.native_topic())) }.to_str().unwrap_or("")
    }

    pub(super) fn partition(self) -> i32 {
        // SAFETY: the message is alive.
        unsafe { addr_of!((*self.native.as_ptr()).partition).read() }
    }

    pub(super) fn offset(self) -> i64 {
        // SAFETY: the message is alive.
        unsafe { addr_of!((*self.native.as_ptr()).offset).read() }
    }

    /// The record's time, ms since the Unix epoch, whoever set it.
    pub(super) fn time_ms(self) -> Option<i64> {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is ours.
        let time = unsafe { rd_kafka_message_timestamp(self.native.as_ptr(), &mut kind) };
        (kind != rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(time)
    }

    /// The record's value, or the text of an error.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        // SAFETY: the message is alive.
        let (bytes, len) = unsafe {
            let native = self.native.as_ptr();
            (addr_of!((*native).payload).read(), addr_of!((*native).len).read())
        };
        let bytes = NonNull::new(bytes.cast::<u8>())?;
        // SAFETY: librdkafka says that the value is so long, and it lives and stays as it is as long as the message.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), len) })
    }

    /// The record's key.
    pub(super) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: the message is alive.
        let (bytes, len) = unsafe {
            let native = self.native.as_ptr();
            (addr_of!((*native).key).read(), addr_of!((*native).key_len).read())
        };
        let bytes = NonNull::new(bytes.cast::<u8>())?;
        // SAFETY: librdkafka says that the key is so long, and it lives and stays as it is as long as the message.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), len) })
    }

    fn native_topic(self) -> *mut rd_kafka_topic_t {
        // SAFETY: the message is alive.
        unsafe { addr_of!((*self.native.as_ptr()).rkt).read() }
    }
}

extern "C" fn on_error(_: *mut rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: librdkafka passes the opaque pointer of the settings, which the wrapper makes the context's, and a text.
    if let Some(notices) = unsafe { opaque.cast::<Notices>().as_ref() } {
        notices.error(code_of(code), &unsafe { text_of(reason) });
    }
}

extern "C" fn on_log(rk: *const rd_kafka_t, level: c_int, facility: *const c_char, text: *const c_char) {
    if rk.is_null() {
        return;
    }
    // SAFETY: the client is alive; for the rest see `on_error`.
    unsafe {
        if let Some(notices) = rd_kafka_opaque(rk).cast::<Notices>().as_ref() {
            notices.log(level, &text_of(facility), &text_of(text));
        }
    }
}

/// The code for a number that librdkafka passes as a plain integer.
fn code_of(number: c_int) -> RDKafkaErrorCode {
    RDKafkaRespErr::try_from(number).map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from)
}

/// # Safety
/// `text` is null, or ends with a zero and is alive.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: what the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}
