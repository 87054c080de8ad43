//! The file of the ledger of dictionaries, beside the tag of the cache's directory.
//!
//! It is a hint: what it says is held against the digests of contents. A line that cannot be read is passed
//! over, and without the file no client gets a delta until it has come once.

use std::io;

use super::layout::with_directory;
use super::state::State;
use crate::fs::read_full;
use crate::limits::DICTIONARY_FILE;
use crate::log;

/// Adds what the file says to the ledger.
pub(super) fn load(state: &State) {
    match read(state) {
        Ok(text) => state.dictionaries.merge(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => log::debug!(%error, "cannot read the ledger of dictionaries"),
    }
}

/// Writes the ledger down if it has changed, with what other processes have written meanwhile.
pub(super) fn save(state: &State) {
    state.dictionaries.prune();
    if !state.is_maintained() || !state.dictionaries.take_changed() {
        return;
    }
    if let Err(error) = write(state) {
        state.dictionaries.set_changed();
        log::debug!(%error, "cannot write the ledger of dictionaries");
    }
}

fn read(state: &State) -> io::Result<String> {
    let file = state.disk.open(&state.layout.dictionaries())?;
    let len = file.stat()?.fingerprint.size.min(DICTIONARY_FILE);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    let filled = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(filled);
    // A text that is cut off ends with a line that is not whole.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(state: &State) -> io::Result<()> {
    let (disk, layout) = (&state.disk, &state.layout);
    let path = layout.dictionaries();
    let lock = || disk.try_lock(&layout.dictionaries_lock());
    let Some(_lock) = with_directory(lock, || layout.create(&**disk))? else {
        // Another process writes. This one does so the next time.
        state.dictionaries.set_changed();
        return Ok(());
    };
    if let Ok(text) = read(state) {
        state.dictionaries.merge(&text);
        state.dictionaries.take_changed();
    }
    let text = state.dictionaries.to_text();
    let file = disk.create_unnamed(&layout.root)?;
    file.reserve(text.len() as u64)?;
    file.write_all_at(text.as_bytes(), 0)?;
    match disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    file.publish(&path)
}
