//! Pages of an SQLite file, and the rows of a table from its first to its last (file format, 1.6 "B-tree Pages").

use super::super::seekable::{Store, damaged};
use super::row::varint;
use std::io;

/// Deepest tree that is read: SQLite's own bound.
const MAX_DEPTH: usize = 20;
/// Largest row that is read: the text of a table's definition.
const MAX_ROW: u64 = 64 << 10;
/// Bytes of the file's header, before the first page's own.
const FILE_HEADER: usize = 100;

/// The pages of a file.
pub(super) struct Sqlite {
    store: Store,
    page_size: usize,
    /// Bytes of a page that hold content.
    usable: usize,
    pages: u32,
    /// Pages that may still be read of one table: each once, and its rows' overflow pages once.
    left: u64,
}

impl Sqlite {
    pub fn open(mut store: Store) -> io::Result<Self> {
        let head = store.bytes(0, FILE_HEADER)?;
        let page_size = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let usable = page_size.saturating_sub(usize::from(head[20]));
        if !page_size.is_power_of_two() || page_size < 512 || usable < 480 {
            return Err(damaged(format!("pages of {page_size} bytes are none")));
        }
        let encoding = u32::from_be_bytes([head[56], head[57], head[58], head[59]]);
        if encoding > 1 {
            return Err(damaged("texts in UTF-16 are not read: export it with `python -m can.logconvert`"));
        }
        let pages = u32::try_from(store.length / page_size as u64).unwrap_or(u32::MAX);
        Ok(Self { store, page_size, usable, pages, left: 2 * u64::from(pages) + 2 })
    }

    fn page(&mut self, number: u32) -> io::Result<Vec<u8>> {
        if number == 0 || number > self.pages {
            return Err(damaged(format!("page {number} is not in the file, which has {}", self.pages)));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| damaged("its pages form a circle"))?;
        self.store.bytes(u64::from(number - 1) * self.page_size as u64, self.page_size)
    }
}

/// A page on the way to the row.
struct Level {
    page: Vec<u8>,
    /// Where the page's own header begins.
    header: usize,
    is_leaf: bool,
    cells: usize,
    /// The cell to come; of an inner page one more, which is its last child.
    next: usize,
}

/// Rows of a table.
pub(super) struct Rows {
    root: Option<u32>,
    levels: Vec<Level>,
}

impl Rows {
    /// Of the table whose first page this is.
    pub const fn of(root: u32) -> Self {
        Self { root: Some(root), levels: Vec::new() }
    }

    /// The bytes of the next row; `None` at the end.
    pub fn next(&mut self, file: &mut Sqlite) -> io::Result<Option<Vec<u8>>> {
        if let Some(root) = self.root.take() {
            file.left = 2 * u64::from(file.pages) + 2;
            self.descend(file, root)?;
        }
        while let Some(level) = self.levels.last_mut() {
            let cell = level.next;
            level.next += 1;
            if level.is_leaf && cell < level.cells {
                let at = level.cell(cell)?;
                return row(file, &level.page, at).map(Some);
            }
            if !level.is_leaf && cell <= level.cells {
                let child = if cell < level.cells { level.cell(cell)? } else { level.header + 8 };
                let child = level.page.get(child..).and_then(|rest| rest.first_chunk()).copied();
                let child = u32::from_be_bytes(child.ok_or_else(|| damaged("a page is cut"))?);
                self.descend(file, child)?;
                continue;
            }
            self.levels.pop();
        }
        Ok(None)
    }

    fn descend(&mut self, file: &mut Sqlite, number: u32) -> io::Result<()> {
        if self.levels.len() == MAX_DEPTH {
            return Err(damaged(format!("a tree of more than {MAX_DEPTH} levels")));
        }
        let page = file.page(number)?;
        let header = if number == 1 { FILE_HEADER } else { 0 };
        let is_leaf = match page[header] {
            13 => true,
            5 => false,
            other => {
                return Err(damaged(format!("page {number} is of kind {other}, which is none of a table")));
            }
        };
        let cells = usize::from(u16::from_be_bytes([page[header + 3], page[header + 4]]));
        self.levels.push(Level { page, header, is_leaf, cells, next: 0 });
        Ok(())
    }
}

impl Level {
    /// Where a cell begins.
    fn cell(&self, number: usize) -> io::Result<usize> {
        let at = self.header + if self.is_leaf { 8 } else { 12 } + 2 * number;
        let place = self.page.get(at..at + 2).ok_or_else(|| damaged("a page is cut"))?;
        Ok(usize::from(u16::from_be_bytes([place[0], place[1]])))
    }
}

/// The bytes of the row in a leaf's cell, with those on overflow pages.
fn row(file: &mut Sqlite, page: &[u8], at: usize) -> io::Result<Vec<u8>> {
    let cut = || damaged("a row is cut");
    let rest = page.get(at..).ok_or_else(cut)?;
    let (length, first) = varint(rest).ok_or_else(cut)?;
    let (_, second) = varint(&rest[first..]).ok_or_else(cut)?;
    if length > MAX_ROW {
        return Err(damaged(format!("a row has {length} bytes, at most {MAX_ROW}")));
    }
    let (length, content) = (length as usize, &rest[first + second..]);
    // File format, 1.6: how much of a row is on its page.
    let most = file.usable - 35;
    if length <= most {
        return content.get(..length).map(<[u8]>::to_vec).ok_or_else(cut);
    }
    let least = (file.usable - 12) * 32 / 255 - 23;
    let here = least + (length - least) % (file.usable - 4);
    let here = if here > most { least } else { here };
    let mut bytes = content.get(..here).ok_or_else(cut)?.to_vec();
    let mut next = content.get(here..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(cut)?;
    while bytes.len() < length {
        let page = file.page(u32::from_be_bytes(next))?;
        let part = (length - bytes.len()).min(file.usable - 4);
        bytes.extend(page.get(4..4 + part).ok_or_else(cut)?);
        next = page.first_chunk().copied().ok_or_else(cut)?;
    }
    Ok(bytes)
}
