use std::future::Future;
use std::pin::Pin;

/// What an asynchronous port returns.
///
/// A boxed future is compiled in the crate that writes it and not again in every crate that
/// awaits it, which keeps a rebuild of the binary short.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
