//! A handle on the ledger: one writer at a time, a few readers beside it, and each look from one state of the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::ledger::error::LedgerError;
use crate::ledger::file::{Access, FILE, connect, make_file};
use crate::ledger::migrations::{known_version, migrate, version};
use crate::ledger::place::{Anchor, Presence};
use crate::ledger::tx::Tx;
use crate::ledger::{lock, place, restore};

/// Connections for reading: a long report keeps nobody else from the ledger, and a thousand groups at once do not need a
/// thousand open files.
const READERS: usize = 4;

/// A handle on the ledger; clones share its connections.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    access: Access,
    /// None after a failure that makes the connection untrustworthy; opened anew by the next use. Whoever wants to write
    /// waits in the order of asking, so that many small transactions of one keep no other for longer than one of them.
    writer: Arc<tokio::sync::Mutex<Option<Connection>>>,
    /// Those that nobody is using.
    readers: Mutex<Vec<Connection>>,
    may_read: Arc<Semaphore>,
    /// What must still be where it was: the file, and locks by which others know that we live.
    anchors: Mutex<Vec<Anchor>>,
    _presence: Presence,
}

impl Ledger {
    /// Opens the ledger in `directory`, making both where they are missing, and brings it to this version's format.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        Self::make_and_open(directory).map_err(|error| error.or_full(directory))
    }

    fn make_and_open(directory: &Path) -> Result<Self, LedgerError> {
        let place = place::make(directory)?;
        let presence = Presence::shared(&place)?;
        refuse_unfinished(&place)?;
        let path = place.join(FILE);
        make_file(&path)?;
        let anchor = Anchor::of(&path)?;
        let mut connection = connect(&path, Access::Write)?;
        refuse_old_daemon(version(&connection, &path)?, &place, &path)?;
        migrate(&mut connection, &path)?;
        Self::new(anchor, Access::Write, connection, presence)
    }

    /// Opens the ledger in `directory`, where there is one: a command that only adds to what a daemon works on makes none
    /// of its own, which no daemon would read.
    pub(crate) fn open_existing(directory: &Path) -> Result<Self, LedgerError> {
        let missing = || LedgerError::Missing(directory.to_owned());
        let place = place::look(directory)?.ok_or_else(missing)?;
        if place::has(&place.join(FILE))? { Self::open(directory) } else { Err(missing()) }
    }

    /// Opens the ledger in `directory` for reading; none where there is no ledger yet. One of an earlier version is brought
    /// to this version's format.
    pub fn open_to_read(directory: &Path) -> Result<Option<Self>, LedgerError> {
        Self::find_and_open(directory).map_err(|error| error.or_full(directory))
    }

    /// What `read` finds in the ledger in `directory`; nothing where there is no ledger yet.
    pub(crate) async fn read_where_it_is<T: Default + Send + 'static>(
        directory: &Path,
        read: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        match Self::open_to_read(directory)? {
            Some(ledger) => ledger.read(read).await,
            None => Ok(T::default()),
        }
    }

    fn find_and_open(directory: &Path) -> Result<Option<Self>, LedgerError> {
        let Some(place) = place::look(directory)? else { return Ok(None) };
        let presence = Presence::shared(&place)?;
        refuse_unfinished(&place)?;
        let path = place.join(FILE);
        if !place::has(&path)? {
            return Ok(None);
        }
        let anchor = Anchor::of(&path)?;
        let connection = connect(&path, Access::Read)?;
        match version(&connection, &path)? {
            // Another process is about to make it.
            0 => return Ok(None),
            found if found < known_version() => {
                refuse_old_daemon(found, &place, &path)?;
                migrate(&mut connect(&path, Access::Write)?, &path)?;
            }
            found if found == known_version() => {}
            found => return Err(LedgerError::Newer { path, found, known: known_version() }),
        }
        Self::new(anchor, Access::Read, connection, presence).map(Some)
    }

    fn new(anchor: Anchor, access: Access, connection: Connection, presence: Presence) -> Result<Self, LedgerError> {
        // What was opened is what the name still means.
        anchor.holds()?;
        let (writer, readers) = match access {
            Access::Write => (Some(connection), Vec::new()),
            Access::Read => (None, vec![connection]),
        };
        let inner = Inner {
            path: anchor.path().to_owned(),
            access,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: Mutex::new(readers),
            may_read: Arc::new(Semaphore::new(READERS)),
            anchors: Mutex::new(vec![anchor]),
            _presence: presence,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory it lives in, without links.
    pub fn directory(&self) -> &Path {
        place::parent(&self.inner.path)
    }

    /// From now on nothing is read or written where this is not in its place any more.
    pub fn depends_on(&self, anchor: Anchor) {
        self.inner.anchors.lock().unwrap_or_else(PoisonError::into_inner).push(anchor);
    }

    /// An error where the file, or a lock that it depends on, was taken away under this process. Asks the file system only.
    pub fn in_place(&self) -> Result<(), LedgerError> {
        self.inner.in_place()
    }

    /// Runs `work` in a transaction that is on the disk when this returns `Ok`, and has left no trace otherwise.
    pub async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let mut turn = Arc::clone(&self.inner.writer).lock_owned().await;
        begin(&self.inner, move |inner| inner.write(&mut turn, work)).await.map_err(|_| LedgerError::Aborted)?
    }

    /// Runs `work` on one consistent state. Waits for nobody who writes.
    pub async fn read<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        // Never closed; where it were, reading would only be less orderly.
        let turn = Arc::clone(&self.inner.may_read).acquire_owned().await;
        let reading = move |inner: &Inner| {
            let _turn = turn;
            inner.read(work)
        };
        begin(&self.inner, reading).await.map_err(|_| LedgerError::Aborted)?
    }
}

/// Begins `work` where it may block.
fn begin<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<T, LedgerError> + Send + 'static,
) -> JoinHandle<Result<T, LedgerError>> {
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || work(&inner).map_err(|error| error.of_file(&inner.path)))
}

impl Inner {
    fn in_place(&self) -> Result<(), LedgerError> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner).iter().try_for_each(Anchor::holds)
    }

    fn write<T>(
        &self,
        slot: &mut Option<Connection>,
        work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // Taken out, so that a panic inside `work` leaves none.
        let mut connection = slot.take().map_or_else(|| self.connect(self.access), Ok)?;
        let done = self.transact(&mut connection, TransactionBehavior::Immediate, work);
        if done.as_ref().is_err_and(LedgerError::distrusts_connection) {
            self.idle_readers().clear();
        } else {
            *slot = Some(connection);
        }
        done
    }

    fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let idle = self.idle_readers().pop();
        let mut connection = idle.map_or_else(|| self.connect(Access::Read), Ok)?;
        let done = self.transact(&mut connection, TransactionBehavior::Deferred, work);
        if !done.as_ref().is_err_and(LedgerError::distrusts_connection) {
            self.idle_readers().push(connection);
        }
        done
    }

    fn idle_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A further connection, to the same file as the first.
    fn connect(&self, access: Access) -> Result<Connection, LedgerError> {
        self.in_place()?;
        connect(&self.path, access)
    }

    fn transact<T>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let tx = Tx(connection.transaction_with_behavior(behavior)?);
        // Asked when whoever was writing has finished: a restore may have come before us.
        self.in_place()?;
        let value = work(&tx)?;
        tx.0.commit()?;
        Ok(value)
    }
}

/// A daemon of an earlier version would go on writing into the new format as if it were its own.
fn refuse_old_daemon(found: i64, place: &Path, path: &Path) -> Result<(), LedgerError> {
    let is_older = (1..known_version()).contains(&found);
    if is_older && lock::is_alive(place, "daemon") { Err(LedgerError::InOldUse(path.to_owned())) } else { Ok(()) }
}

/// A restore that was cut short has taken the old ledger away; a new one in its place would know of nothing.
fn refuse_unfinished(place: &Path) -> Result<(), LedgerError> {
    let part = place.join(restore::PART);
    if part.symlink_metadata().is_ok() { Err(LedgerError::CutShort(part)) } else { Ok(()) }
}
