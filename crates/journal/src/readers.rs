use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use grit_ledger::StorageError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Cause, Closed, storage};

const QUEUE_MAX: usize = 256;

type Question = Box<dyn FnOnce(&Connection) + Send>;
type Waiting = Arc<Mutex<mpsc::Receiver<Question>>>;

/// Threads with a connection each, which only reads; dropped, waits until they are done.
#[derive(Debug)]
pub(crate) struct Readers {
    inbox: Option<mpsc::Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (inbox, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut readers = Self { inbox: Some(inbox), threads: Vec::new() };
        for connection in connections {
            let waiting = waiting.clone();
            let thread = std::thread::Builder::new()
                .name("journal-reader".to_owned())
                .spawn(move || serve(&connection, &waiting))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// What `read` finds in the journal as it is now.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        action: String,
        read: impl FnOnce(&Connection) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        // Whoever stopped waiting does not want to know.
        let question: Question = Box::new(move |connection| drop(reply.send(read(connection))));
        let Some(inbox) = &self.inbox else { return Err(storage(&action, Closed)) };
        if inbox.send(question).await.is_err() {
            return Err(storage(&action, Closed));
        }
        match answer.await {
            Ok(answer) => answer.map_err(|cause| storage(&action, cause)),
            Err(_) => Err(storage(&action, Closed)),
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.inbox = None;
        for thread in self.threads.drain(..) {
            // A reader that panicked has answered nobody, which they have noticed.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, waiting: &Waiting) {
    while let Some(question) = next(waiting) {
        question(connection);
    }
}

/// Readers take turns in waiting; none answers while it holds the queue.
fn next(waiting: &Waiting) -> Option<Question> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}
