//! Weather is an object store in memory, for tests, with requests that fail: not done, done without a reply, done
//! later, refused for a conflict. It belongs to the world, not to a process: what one process asked for may come to be
//! while the next one runs.

use crate::store::Store;
use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, memory::InMemory, path::Path,
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503: it is not done.
    Busy,
    /// It is done, and the reply is lost.
    Lost,
    /// The reply is lost, and it is done after so many further requests.
    Later(usize),
    /// 409: another request for the same name is under way, as the store believes; it is not done. Only for what
    /// creates.
    Conflict,
    /// It is done, the reply is lost, and a retry below us is told 412. Only for what creates.
    Retried,
    /// 403: it is not done, and it is no use to try again.
    Denied,
    /// The store does not know the condition of a create, and overwrites.
    Forgets,
}

/// Says for the request of that number, from 0, whether it goes wrong.
pub(crate) type Forecast = dyn FnMut(usize) -> Option<Fault> + Send;

/// The world's side of the store.
pub(crate) struct World {
    objects: InMemory,
    state: Mutex<State>,
}

struct State {
    requests: usize,
    forecast: Box<Forecast>,
    /// Requests under way, with the number of the request before which they are done.
    under_way: VecDeque<(usize, Asked)>,
}

/// A request that changes something.
#[derive(Clone, Debug)]
enum Asked {
    Put(Path, PutPayload, PutMode),
    Delete(Path),
}

/// One process's way to the store; dead, every request of it fails.
#[derive(Clone)]
pub(crate) struct Weather {
    world: Arc<World>,
    /// The request, counted over all processes, from which on this process is dead.
    dies_at: usize,
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}

fn busy() -> Error {
    Error::Generic { store: "S3", source: "status code: 503: <Code>SlowDown</Code>".into() }
}

fn lost() -> Error {
    Error::Generic { store: "S3", source: "HTTP error: operation timed out".into() }
}

impl World {
    pub(crate) fn new(forecast: impl FnMut(usize) -> Option<Fault> + Send + 'static) -> Arc<World> {
        let state = State { requests: 0, forecast: Box::new(forecast), under_way: VecDeque::new() };
        Arc::new(World { objects: InMemory::new(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From here on nothing goes wrong, and nothing is under way any more.
    pub(crate) fn clears(&self) {
        let last = {
            let mut state = self.state();
            state.forecast = Box::new(|_| None);
            std::mem::take(&mut state.under_way)
        };
        for (_, asked) in last {
            let _ = wait(self.done(asked));
        }
    }

    /// From here on it goes wrong as `forecast` says, its requests counted from 0.
    pub(crate) fn turns(&self, mut forecast: impl FnMut(usize) -> Option<Fault> + Send + 'static) {
        let mut state = self.state();
        let first = state.requests;
        state.forecast = Box::new(move |number| forecast(number - first));
    }

    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    /// The store as a process sees it that dies before request `dies_at`.
    pub(crate) fn store(self: &Arc<World>, dies_at: usize) -> Store {
        let weather = Weather { world: Arc::clone(self), dies_at };
        let pauses: &[Duration] = &[Duration::ZERO; 4];
        Store::of_objects(std::path::Path::new("s3://bucket/data"), Arc::new(weather), pauses).unwrap()
    }

    /// Every object, with its bytes.
    pub(crate) fn copied(&self, forecast: impl FnMut(usize) -> Option<Fault> + Send + 'static) -> Arc<World> {
        let state = State { requests: 0, forecast: Box::new(forecast), under_way: VecDeque::new() };
        Arc::new(World { objects: self.objects.fork(), state: Mutex::new(state) })
    }

    async fn done(&self, asked: Asked) -> Result<()> {
        match asked {
            Asked::Put(path, bytes, mode) => {
                let options = PutOptions { mode, ..PutOptions::default() };
                self.objects.put_opts(&path, bytes, options).await.map(|_| ())
            }
            Asked::Delete(path) => self.objects.delete(&path).await,
        }
    }
}

/// Nothing in memory waits for anything.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl Weather {
    /// Counts a request and does what is under way until it. Its fault, or an error where the process is dead.
    async fn arrives(&self) -> Result<Option<Fault>> {
        let (due, fault) = {
            let mut state = self.world.state();
            let number = state.requests;
            if number >= self.dies_at {
                return Err(Error::PermissionDenied { path: String::new(), source: "the process is dead".into() });
            }
            state.requests += 1;
            let (due, later) = state.under_way.drain(..).partition(|(at, _)| *at <= number);
            state.under_way = later;
            let due: VecDeque<(usize, Asked)> = due;
            (due, (state.forecast)(number))
        };
        for (_, asked) in due {
            // Whoever asked hears no reply.
            let _ = self.world.done(asked).await;
        }
        Ok(fault)
    }

    async fn reads(&self) -> Result<()> {
        match self.arrives().await? {
            None => Ok(()),
            Some(Fault::Denied) => Err(Error::PermissionDenied { path: String::new(), source: "403".into() }),
            Some(_) => Err(busy()),
        }
    }

    async fn changes(&self, asked: Asked) -> Result<()> {
        let creates = matches!(asked, Asked::Put(_, _, PutMode::Create));
        let exists = || Err(Error::AlreadyExists { path: String::new(), source: "status code: 409".into() });
        match self.arrives().await? {
            None => self.world.done(asked).await,
            Some(Fault::Denied) => Err(Error::PermissionDenied { path: String::new(), source: "403".into() }),
            Some(Fault::Lost) => self.world.done(asked).await.and(Err(lost())),
            Some(Fault::Later(requests)) => {
                let mut state = self.world.state();
                let at = state.requests + requests;
                state.under_way.push_back((at, asked));
                Err(lost())
            }
            Some(Fault::Forgets) => Ok(()),
            Some(Fault::Conflict) if creates => exists(),
            Some(Fault::Retried) if creates => {
                let _ = self.world.done(asked).await;
                exists()
            }
            Some(Fault::Busy | Fault::Conflict | Fault::Retried) => Err(busy()),
        }
    }
}

#[async_trait]
impl ObjectStore for Weather {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.changes(Asked::Put(path.clone(), bytes, options.mode)).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, path: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.reads().await?;
        Ok(Box::new(Upload { weather: self.clone(), path: path.clone(), bytes: Arc::default() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads().await?;
        self.world.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let weather = self.clone();
        let delete = move |path: Result<Path>| {
            let weather = weather.clone();
            async move {
                let path = path?;
                weather.changes(Asked::Delete(path.clone())).await?;
                Ok(path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (weather, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            match weather.reads().await {
                Ok(()) => weather.world.objects.list(prefix.as_ref()),
                Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
            }
        };
        futures_util::stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads().await?;
        self.world.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: "Weather".into() })
    }
}

/// An upload in pieces, which is there when it is complete.
#[derive(Debug)]
struct Upload {
    weather: Weather,
    path: Path,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (weather, bytes) = (self.weather.clone(), Arc::clone(&self.bytes));
        Box::pin(async move {
            weather.reads().await?;
            data.iter().for_each(|piece| bytes.lock().unwrap().extend_from_slice(piece));
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let whole = PutPayload::from(self.bytes.lock().unwrap().clone());
        self.weather.changes(Asked::Put(self.path.clone(), whole, PutMode::Overwrite)).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort(&mut self) -> Result<()> {
        self.weather.reads().await
    }
}
