//! Writes one archive file: under a name that no reader looks for, synced, then renamed.
//!
//! # Invariants
//! 1. A file has its final name only once all of it is on the disk: the trailer is written, the
//!    file synced, then renamed. A crash before leaves a `.partial` file, which no reader takes for an
//!    archive and the next writer removes.
//! 2. The name itself is on the disk only once the directory is synced, and who renamed the file may
//!    have died before. So a name that is there says nothing: whoever vouches for a file syncs the
//!    directory behind reading it, whoever wrote it.
//! 3. What is hashed is what is written, before it is compressed.
//! 4. No personal data is written in plain text, whatever store it came from.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::archive_format::{End, FORMAT, Header, Trailer, file_name, hex, to_line, with_end};
use super::{ArchiveError, ArchiveScope};
use crate::RecordedEvent;
use crate::personal::marker::PERSONAL;

/// What a file is called until it is whole.
pub(super) const PARTIAL: &str = ".partial";

pub(super) struct ArchiveWriter {
    directory: PathBuf,
    partial: PathBuf,
    /// What the file will hold; its end moves when the file is finished early.
    after: u64,
    scope: ArchiveScope,
    lines: GzEncoder<BufWriter<File>>,
    hash: Sha256,
    events: u64,
}

impl ArchiveWriter {
    /// Begins a file of `scope`, whose name and header are final: it must be finished to its end.
    pub(super) fn begin(directory: &Path, scope: ArchiveScope) -> Result<Self, ArchiveError> {
        let name = format!("{}.{}{PARTIAL}", file_name(&scope), Uuid::now_v7().simple());
        let partial = directory.join(name);
        let file = File::create_new(&partial).map_err(failed("create", &partial))?;
        let lines = GzEncoder::new(BufWriter::new(file), Compression::default());
        let directory = directory.to_owned();
        let after = scope.after();
        let hash = Sha256::new();
        let mut writer = Self { directory, partial, after, scope, lines, hash, events: 0 };
        let header = Header { highwater_archive: FORMAT, scope: writer.scope.clone() };
        writer.write(&with_end(&header).map_err(|error| writer.unwritable(error))?)?;
        Ok(writer)
    }

    pub(super) fn add(&mut self, event: &RecordedEvent) -> Result<(), ArchiveError> {
        if PERSONAL.is_in(event.data.as_json()) {
            return Err(ArchiveError::UnsealedPersonalData { event: event.id });
        }
        debug_assert!(self.scope.place_of(event) > self.after, "in order");
        self.after = self.scope.place_of(event);
        self.events += 1;
        let line = to_line(event).map_err(|error| self.unwritable(error))?;
        self.write(&line)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), ArchiveError> {
        self.hash.update(line);
        self.lines.write_all(line).map_err(failed("write", &self.partial))
    }

    /// Makes the file durable and gives it its name, which is durable once the directory is synced.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        let end = End { events: self.events, sha256: hex(&self.hash.clone().finalize()) };
        let trailer = with_end(&Trailer { end }).map_err(|error| self.unwritable(error))?;
        self.lines.write_all(&trailer).map_err(failed("write", &self.partial))?;
        let buffer = self.lines.finish().map_err(failed("write", &self.partial))?;
        let file = buffer
            .into_inner()
            .map_err(|error| failed("write", &self.partial)(error.into_error()))?;
        file.sync_all().map_err(failed("sync", &self.partial))?;
        let path = self.directory.join(file_name(&self.scope));
        std::fs::rename(&self.partial, &path).map_err(failed("name", &path))
    }

    fn unwritable(&self, error: serde_json::Error) -> ArchiveError {
        failed("write", &self.partial)(error.into())
    }
}

/// A rename is durable once the directory is. Where directories can't be opened (Windows) the file
/// system does it by itself.
pub(super) fn sync_directory(directory: &Path) -> Result<(), ArchiveError> {
    if cfg!(unix) {
        let opened = File::open(directory).map_err(failed("open", directory))?;
        opened.sync_all().map_err(failed("sync", directory))?;
    }
    #[cfg(test)]
    tests::SYNCED.lock().unwrap().push(directory.to_owned());
    Ok(())
}

pub(super) fn failed(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::retention::Archive;
    use crate::{
        Append, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent, StreamId,
    };

    /// Every directory that was synced. Tests run at once, so each looks for its own.
    pub(super) static SYNCED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

    fn synced(directory: &Path) -> usize {
        SYNCED.lock().unwrap().iter().filter(|synced| *synced == directory).count()
    }

    /// Who named a file may have died before it synced the directory, and left that to us.
    #[tokio::test]
    async fn whoever_believes_a_file_has_synced_its_name() {
        let directory = std::env::temp_dir().join(Uuid::now_v7().to_string());
        std::fs::create_dir(&directory).unwrap();
        let store = MemoryStore::new();
        let stream = StreamId::new("test", "a").unwrap();
        let happened = vec![NewEvent::new("happened", &()).unwrap()];
        store.append(Append::to(stream, ExpectedVersion::Any, happened)).await.unwrap();
        let archive = Archive::in_directory(&directory);
        let scope = ArchiveScope::of_log(GlobalPosition::START, GlobalPosition::new(1));
        archive.write(&store, scope.clone(), &mut |_| {}).await.unwrap();
        let before = synced(&directory);
        assert!(before > 0);
        archive.write(&store, scope.clone(), &mut |_| {}).await.unwrap();
        assert_eq!(synced(&directory), before + 1);
        archive.verify(scope).await.unwrap();
        assert_eq!(synced(&directory), before + 2);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
