//! Reads archive files back, and believes nothing that it hasn't counted and hashed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::archive_format::{
    FORMAT, Header, InvalidLine, MAX_LINE_BYTES, TRAILER_START, Trailer, from_line, hex,
};
use super::archive_writer::failed;
use super::{ArchiveError, ArchiveScope};
use crate::RecordedEvent;

/// The events of one archive file, as they were recorded.
///
/// It gives events as it comes to them, before it has seen the end of the file: whoever acts on them
/// must be able to take the error that may follow. [`Archive::verify`](super::Archive::verify) reads
/// to the end first.
///
/// It reads files, so it blocks: use it where that is allowed.
pub struct ArchiveReader {
    path: PathBuf,
    lines: BufReader<MultiGzDecoder<BufReader<File>>>,
    scope: ArchiveScope,
    hash: Sha256,
    line: u64,
    events: u64,
    /// Where the last event stood.
    reached: u64,
    is_over: bool,
}

impl ArchiveReader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`ArchiveError`] if the file can't be read, isn't an archive, or is of an unknown format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ArchiveError> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path).map_err(failed("open", &path))?;
        let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        let scope = ArchiveScope::of_log(Default::default(), Default::default());
        let hash = Sha256::new();
        let mut reader =
            Self { path, lines, scope, hash, line: 0, events: 0, reached: 0, is_over: false };
        reader.read_header()?;
        Ok(reader)
    }

    /// What the file holds.
    #[must_use]
    pub fn scope(&self) -> &ArchiveScope {
        &self.scope
    }

    fn read_header(&mut self) -> Result<(), ArchiveError> {
        let line = self.read_line()?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|error| self.damaged("it has no header", Some(error.into())))?;
        if header.highwater_archive != FORMAT {
            return Err(ArchiveError::UnknownFormat {
                path: self.path.clone(),
                found: header.highwater_archive,
                known: FORMAT,
            });
        }
        self.hash.update(&line);
        self.reached = header.scope.after();
        self.scope = header.scope;
        Ok(())
    }

    /// The next line, with its end.
    fn read_line(&mut self) -> Result<Vec<u8>, ArchiveError> {
        self.line += 1;
        let mut line = Vec::new();
        let read = (&mut self.lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        // What gzip finds is damage, too: its own checksum, or a stream that ends too early.
        read.map_err(|error| self.damaged("it can't be unpacked", Some(error.into())))?;
        if line.last() != Some(&b'\n') {
            return Err(self.damaged("it ends in the middle", None));
        }
        Ok(line)
    }

    fn read_event(&mut self) -> Result<Option<RecordedEvent>, ArchiveError> {
        let line = self.read_line()?;
        if line.starts_with(TRAILER_START) {
            return self.read_trailer(&line).map(|()| None);
        }
        self.hash.update(&line);
        self.events += 1;
        let event = from_line(&line).map_err(|error: InvalidLine| {
            self.damaged("it holds something that is no event", Some(error.into()))
        })?;
        self.check_place(&event)?;
        Ok(Some(event))
    }

    fn check_place(&mut self, event: &RecordedEvent) -> Result<(), ArchiveError> {
        let place = self.scope.place_of(event);
        let is_next = match self.scope.stream() {
            Some(stream) => place == self.reached + 1 && event.stream == *stream,
            None => place > self.reached,
        };
        if !is_next || place > self.scope.to() {
            return Err(self.damaged("its events are not the ones that the header names", None));
        }
        self.reached = place;
        Ok(())
    }

    fn read_trailer(&mut self, line: &[u8]) -> Result<(), ArchiveError> {
        let trailer: Trailer = serde_json::from_slice(line)
            .map_err(|error| self.damaged("its last line is broken", Some(error.into())))?;
        if trailer.end.events != self.events {
            return Err(self.damaged("it holds another number of events than it says", None));
        }
        if trailer.end.sha256 != hex(&self.hash.clone().finalize()) {
            return Err(self.damaged("it isn't what was written: the checksum differs", None));
        }
        if self.scope.stream().is_some() && self.reached != self.scope.to() {
            return Err(self.damaged("it lacks the last events of the stream", None));
        }
        let mut rest = [0];
        let behind = self.lines.read(&mut rest);
        match behind.map_err(|error| self.damaged("it can't be unpacked", Some(error.into())))? {
            0 => Ok(()),
            _ => Err(self.damaged("something stands behind its end", None)),
        }
    }

    fn damaged(
        &self,
        what: &'static str,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), line: self.line, what, source }
    }
}

impl Iterator for ArchiveReader {
    type Item = Result<RecordedEvent, ArchiveError>;

    /// The next event. After the last one the trailer is checked: `None` means that the file was
    /// whole. After an error there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read_event().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
