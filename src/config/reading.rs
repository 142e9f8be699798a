//! One load in progress: what it has found so far, and what it need not look up twice.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use chrono::{DateTime, Utc};

use crate::clock::{BadZone, zone};
use crate::config::days::Days;
use crate::config::fault::{ConfigFault, Warning};
use crate::config::fingerprint::{Fingerprint, Prints};
use crate::config::origin::Origin;
use crate::config::source::{NoText, Source};
use crate::domain::cron::{BadCron, Cron};
use crate::domain::zone::Zone;

/// Days of a calendar; nothing where its definition has a fault, which is reported once.
pub(super) type Calendar = Option<Rc<Days>>;

pub(super) struct Reading {
    /// For warnings only.
    pub(super) now: DateTime<Utc>,
    /// False where files are checked without the secrets that they name.
    pub(super) has_secrets: bool,
    /// True where offhours.toml was understood, so that names it defines can be asked for.
    pub(super) understood: Cell<bool>,
    faults: RefCell<Vec<ConfigFault>>,
    warnings: RefCell<Vec<Warning>>,
    zones: RefCell<HashMap<String, Result<Zone, BadZone>>>,
    crons: RefCell<HashMap<String, Result<Cron, BadCron>>>,
    calendars: RefCell<BTreeMap<String, Calendar>>,
    calendar_files: RefCell<HashMap<PathBuf, Calendar>>,
    prints: RefCell<Prints>,
}

impl Reading {
    /// A load that begins at `now`.
    pub(super) fn new(now: DateTime<Utc>, has_secrets: bool) -> Self {
        Self {
            now,
            has_secrets,
            understood: Cell::new(false),
            faults: RefCell::default(),
            warnings: RefCell::default(),
            zones: RefCell::default(),
            crons: RefCell::default(),
            calendars: RefCell::default(),
            calendar_files: RefCell::default(),
            prints: RefCell::default(),
        }
    }

    /// The text of the file at `path`, which is part of the configuration.
    pub(super) fn source(&self, path: &Path) -> Result<Source, NoText> {
        let source = Source::read(path);
        self.prints.borrow_mut().add(path, source.as_ref().ok().map(Source::text));
        source
    }

    /// Which text was read.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.prints.borrow().fingerprint()
    }

    pub(super) fn report(&self, fault: ConfigFault) {
        self.faults.borrow_mut().push(fault);
    }

    pub(super) fn note(&self, warning: Warning) {
        self.warnings.borrow_mut().push(warning);
    }

    /// What was found, at the end.
    pub(super) fn findings(&self) -> (Vec<ConfigFault>, Vec<Warning>) {
        let mut warnings = self.warnings.take();
        warnings.sort();
        (self.faults.take(), warnings)
    }

    pub(super) fn zone(&self, name: &str) -> Result<Zone, BadZone> {
        self.zones.borrow_mut().entry(name.to_owned()).or_insert_with(|| zone(name)).clone()
    }

    /// The expression that `text` is.
    pub(super) fn cron(&self, text: &str) -> Result<Cron, BadCron> {
        self.crons.borrow_mut().entry(text.to_owned()).or_insert_with(|| Cron::parse(text)).clone()
    }

    pub(super) fn define_calendar(&self, name: &str, dates: Calendar) {
        self.calendars.borrow_mut().insert(name.to_owned(), dates);
    }

    /// The calendar of this name, or all names there are.
    pub(super) fn calendar(&self, name: &str) -> Result<Calendar, Vec<String>> {
        let calendars = self.calendars.borrow();
        calendars.get(name).cloned().ok_or_else(|| calendars.keys().cloned().collect())
    }

    /// All calendars without a fault: those that are defined by their names, others by their files'.
    pub(super) fn calendars(&self) -> BTreeMap<String, Days> {
        let (named, files) = (self.calendars.borrow(), self.calendar_files.borrow());
        let is_named = |days: &Rc<Days>| named.values().flatten().any(|known| Rc::ptr_eq(known, days));
        let files = files.iter().filter_map(|(path, days)| Some((path.display().to_string(), days.as_ref()?)));
        let named = named.iter().filter_map(|(name, days)| Some((name.clone(), days.as_ref()?)));
        let all = files.filter(|(_, days)| !is_named(days)).chain(named);
        all.map(|(name, days)| (name, Days::clone(days))).collect()
    }

    /// The calendar in the file at `path`, read by `read` where that has not happened yet.
    pub(super) fn calendar_file(&self, path: &Path, read: impl FnOnce() -> Calendar) -> Calendar {
        if let Some(known) = self.calendar_files.borrow().get(path) {
            return known.clone();
        }
        let calendar = read();
        self.calendar_files.borrow_mut().insert(path.to_owned(), calendar.clone());
        calendar
    }
}

/// A place in a file at which something can be found wrong.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) reading: &'a Reading,
    pub(super) source: &'a Source,
    pub(super) offset: usize,
    /// The key whose value or section begins there.
    pub(super) key: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The beginning of `source`.
    pub(super) fn start(reading: &'a Reading, source: &'a Source) -> Self {
        Self { reading, source, offset: 0, key: None }
    }

    /// The same place, as that of `key`.
    pub(super) fn of_key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same file at another byte.
    pub(super) fn moved(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    pub(super) fn fault(self, message: impl Into<String>, hint: impl Into<String>) {
        let Origin { path, line, column } = self.origin();
        let key = self.key.map(clip);
        self.reading.report(ConfigFault { path, line, column, key, message: message.into(), hint: Some(hint.into()) });
    }

    /// Notes something odd here.
    pub(super) fn warn(self, message: impl Into<String>) {
        let Origin { path, line, column } = self.origin();
        let key = self.key.map(clip);
        self.reading.note(Warning { path, line, column, key, message: message.into() });
    }

    /// File, line and column.
    pub(super) fn origin(self) -> Origin {
        let (line, column) = self.source.position(self.offset);
        Origin { path: self.source.path().to_owned(), line, column }
    }
}

/// At most the first 60 characters of `text`, on one line, for a message.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 60;
    let shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() { format!("{shown}…") } else { shown }
}

/// The one of `candidates` that was probably meant by `name`.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let wanted = bare(name);
    let distance = |known: &str| {
        let known = bare(known);
        let within = wanted.len() > 3 && (known.contains(&wanted) || wanted.contains(&known) && known.len() > 3);
        if within { 1 } else { strsim::osa_distance(&wanted, &known) }
    };
    let (distance, known) =
        candidates.into_iter().map(|known| (distance(known), known)).min_by_key(|(distance, _)| *distance)?;
    (distance <= (wanted.chars().count() / 3).max(1)).then_some(known)
}

/// "did you mean …?" or all the names there are.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    otherwise: &str,
) -> String {
    if let Some(known) = nearest(name, known.clone()) {
        return format!("did you mean `{known}`?");
    }
    let all: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    format!("{otherwise} {}", all.join(", "))
}
