//! Writes a small ISO 9660 image: ECMA-119 (4th edition) at interchange level 2, with the names as given in
//! Rock Ridge (IEEE P1281 and P1282), which is what Linux reads.
//!
//! Section numbers in comments are ECMA-119's. All times are one fixed instant, so that equal files make
//! equal images; files of equal contents share their sectors.

use std::collections::{BTreeMap, BTreeSet};
use std::num::TryFromIntError;

const SECTOR: usize = 2048;
/// Sectors before the first volume descriptor (6.2.1).
const SYSTEM_AREA: usize = 16;
const PATH_TABLES: usize = SYSTEM_AREA + 2;

/// 1980-01-01T00:00:00Z, in the two forms of 9.1.5 and 8.4.26.1.
const RECORDED: [u8; 7] = [80, 1, 1, 0, 0, 0, 0];
const CREATED: &[u8; 17] = b"1980010100000000\0";
const UNSPECIFIED: &[u8; 17] = b"0000000000000000\0";

const FILE_MODE: u32 = 0o100_444;
const DIRECTORY_MODE: u32 = 0o040_555;

/// An image named `volume` of `files`, each a path with `/` and its contents.
///
/// # Errors
/// A number does not fit its field: 4 GiB of contents, or names of more than about 100 bytes.
pub(crate) fn image(volume: &str, files: &[(&str, &[u8])]) -> Result<Vec<u8>, TryFromIntError> {
    let tree = Tree::of(files);
    let sizes = Layout::default();
    let path_table = tree.path_table(&sizes, false)?.len();
    let mut layout = Layout { path_table: Extent { sector: u32::try_from(PATH_TABLES)?, bytes: u32::try_from(path_table)? }, ..sizes };

    // Lengths do not depend on places: the directories are measured with no places known, then rendered with them.
    let mut next = PATH_TABLES + 2 * path_table.div_ceil(SECTOR);
    for path in tree.directories.keys() {
        let length = tree.directory(path, &Layout::default())?.len();
        layout.directories.insert(path.clone(), place(&mut next, length)?);
    }
    // libarchive reads forwards only: the extension's text lies behind the directory that refers to it.
    layout.extension = place(&mut next, extension_reference()?.len())?;
    let contents: BTreeSet<&[u8]> = files.iter().map(|(_, contents)| *contents).collect();
    for contents in &contents {
        layout.files.insert(contents, place(&mut next, contents.len())?);
    }

    let mut image = vec![0; SYSTEM_AREA * SECTOR];
    append(&mut image, &tree.primary_descriptor(volume, &layout, next)?);
    append(&mut image, b"\xffCD001\x01");
    append(&mut image, &tree.path_table(&layout, false)?);
    append(&mut image, &tree.path_table(&layout, true)?);
    for path in tree.directories.keys() {
        append(&mut image, &tree.directory(path, &layout)?);
    }
    append(&mut image, &extension_reference()?);
    for contents in &contents {
        append(&mut image, contents);
    }
    Ok(image)
}

/// Adds `bytes`, then zeroes up to the end of the sector.
fn append(image: &mut Vec<u8>, bytes: &[u8]) {
    image.extend_from_slice(bytes);
    image.resize(image.len().next_multiple_of(SECTOR), 0);
}

/// Takes the sectors from `next` on that `bytes` need.
fn place(next: &mut usize, bytes: usize) -> Result<Extent, TryFromIntError> {
    let extent = Extent { sector: u32::try_from(*next)?, bytes: u32::try_from(bytes)? };
    *next += bytes.div_ceil(SECTOR);
    Ok(extent)
}

/// Where bytes lie in the image.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    sector: u32,
    bytes: u32,
}

/// Where everything lies; what has no place yet is at sector 0.
#[derive(Debug, Default)]
struct Layout<'a> {
    /// The one of little-endian numbers; the big-endian one follows.
    path_table: Extent,
    extension: Extent,
    directories: BTreeMap<Path<'a>, Extent>,
    files: BTreeMap<&'a [u8], Extent>,
}

impl Layout<'_> {
    fn directory(&self, path: &Path<'_>) -> Extent {
        self.directories.get(path).copied().unwrap_or_default()
    }
}

/// A directory's or file's two names. Ordered by the identifier, as records must be (9.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a> {
    /// Of d-characters (7.4.1), without a file's version.
    identifier: String,
    real: &'a str,
}

impl<'a> Name<'a> {
    fn directory(real: &'a str) -> Self {
        Self { identifier: real.chars().map(d_character).collect(), real }
    }

    /// A file's identifier always has the dot before its extension (7.5.1).
    fn file(real: &'a str) -> Self {
        let (stem, extension) = real.rsplit_once('.').unwrap_or((real, ""));
        let of = |text: &str| text.chars().map(d_character).collect::<String>();
        Self { identifier: format!("{}.{}", of(stem), of(extension)), real }
    }
}

fn d_character(character: char) -> char {
    match character.to_ascii_uppercase() {
        upper @ ('A'..='Z' | '0'..='9') => upper,
        _ => '_',
    }
}

/// A directory's place in the tree. Ordered as the path table is: by level, then parent, then identifier (6.9.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Path<'a> {
    level: usize,
    names: Vec<Name<'a>>,
}

impl<'a> Path<'a> {
    fn child(&self, name: &Name<'a>) -> Self {
        let mut names = self.names.clone();
        names.push(name.clone());
        Self { level: self.level + 1, names }
    }

    /// The root's parent is the root (6.8.2.2).
    fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.names.pop();
        parent.level = parent.names.len();
        parent
    }
}

#[derive(Debug, Clone, Copy)]
enum Child<'a> {
    Directory,
    File(&'a [u8]),
}

#[derive(Debug)]
struct Tree<'a> {
    directories: BTreeMap<Path<'a>, BTreeMap<Name<'a>, Child<'a>>>,
}

impl<'a> Tree<'a> {
    fn of(files: &[(&'a str, &'a [u8])]) -> Self {
        let mut directories: BTreeMap<Path<'a>, BTreeMap<Name<'a>, Child<'a>>> = BTreeMap::from([(Path::default(), BTreeMap::new())]);
        for (file, contents) in files {
            let mut path = Path::default();
            let (folders, file) = file.rsplit_once('/').unwrap_or(("", file));
            for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
                let name = Name::directory(folder);
                let child = path.child(&name);
                directories.entry(path).or_default().insert(name, Child::Directory);
                path = child;
                directories.entry(path.clone()).or_default();
            }
            directories.entry(path).or_default().insert(Name::file(file), Child::File(contents));
        }
        Self { directories }
    }

    /// POSIX's count of links: its own name, its `.` and each sub-directory's `..`.
    fn links(&self, path: &Path<'_>) -> Result<u32, TryFromIntError> {
        let children = self.directories.get(path).into_iter().flat_map(BTreeMap::values);
        u32::try_from(2 + children.filter(|child| matches!(child, Child::Directory)).count())
    }

    /// The records of the directory at `path` (6.8.1), whole sectors.
    fn directory(&self, path: &Path<'a>, layout: &Layout<'a>) -> Result<Vec<u8>, TryFromIntError> {
        let parent = path.parent();
        let attributes = posix_attributes(DIRECTORY_MODE, self.links(path)?);
        let own = if path.level == 0 {
            [&sharing_protocol(), attributes.as_slice(), &continuation(layout.extension)].concat()
        } else {
            attributes
        };
        let mut records = vec![
            record(b"\0", layout.directory(path), true, &own)?,
            record(b"\x01", layout.directory(&parent), true, &posix_attributes(DIRECTORY_MODE, self.links(&parent)?))?,
        ];
        for (name, child) in self.directories.get(path).into_iter().flatten() {
            let real = alternate_name(name.real)?;
            records.push(match child {
                Child::Directory => {
                    let child = path.child(name);
                    let attributes = posix_attributes(DIRECTORY_MODE, self.links(&child)?);
                    record(name.identifier.as_bytes(), layout.directory(&child), true, &[attributes, real].concat())?
                }
                Child::File(contents) => {
                    let extent = layout.files.get(contents).copied().unwrap_or_default();
                    let attributes = posix_attributes(FILE_MODE, 1);
                    record(format!("{};1", name.identifier).as_bytes(), extent, false, &[attributes, real].concat())?
                }
            });
        }
        let mut sectors = Vec::new();
        for record in records {
            // No record crosses the end of a sector (6.8.1.1).
            if sectors.len() % SECTOR + record.len() > SECTOR {
                sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
            }
            sectors.extend(record);
        }
        sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
        Ok(sectors)
    }

    /// The path table (9.4), whose numbers are big-endian or little-endian as its type says.
    fn path_table(&self, layout: &Layout<'a>, big_endian: bool) -> Result<Vec<u8>, TryFromIntError> {
        let mut table = Vec::new();
        for path in self.directories.keys() {
            let identifier = path.names.last().map_or(b"\0".as_slice(), |name| name.identifier.as_bytes());
            let parent = path.parent();
            let parent = u16::try_from(1 + self.directories.keys().take_while(|earlier| **earlier != parent).count())?;
            let sector = layout.directory(path).sector;
            table.extend([u8::try_from(identifier.len())?, 0]);
            if big_endian {
                table.extend(sector.to_be_bytes());
                table.extend(parent.to_be_bytes());
            } else {
                table.extend(sector.to_le_bytes());
                table.extend(parent.to_le_bytes());
            }
            table.extend_from_slice(identifier);
            table.resize(table.len().next_multiple_of(2), 0);
        }
        Ok(table)
    }

    /// The primary volume descriptor (8.4) of an image of so many `sectors`.
    fn primary_descriptor(&self, volume: &str, layout: &Layout<'a>, sectors: usize) -> Result<Vec<u8>, TryFromIntError> {
        let Extent { sector, bytes } = layout.path_table;
        let table_sectors = u32::try_from(usize::try_from(bytes)?.div_ceil(SECTOR))?;
        let mut volume = volume.as_bytes().to_vec();
        volume.resize(32, b' ');

        let mut descriptor = b"\x01CD001\x01\0".to_vec();
        descriptor.extend([b' '; 32]); // system identifier
        descriptor.extend(volume);
        descriptor.extend([0; 8]);
        descriptor.extend(both_32(u32::try_from(sectors)?));
        descriptor.extend([0; 32]);
        descriptor.extend(both_16(1)); // volumes in the set
        descriptor.extend(both_16(1)); // this one's number
        descriptor.extend(both_16(u16::try_from(SECTOR)?));
        descriptor.extend(both_32(bytes));
        descriptor.extend(sector.to_le_bytes());
        descriptor.extend([0; 4]); // no second copy
        descriptor.extend((sector + table_sectors).to_be_bytes());
        descriptor.extend([0; 4]);
        descriptor.extend(record(b"\0", layout.directory(&Path::default()), true, &[])?);
        descriptor.extend([b' '; 128 * 4 + 37 * 3]); // set, publisher, preparer, application; three files about them
        descriptor.extend(CREATED);
        descriptor.extend(CREATED); // modified
        descriptor.extend(UNSPECIFIED); // expires
        descriptor.extend(UNSPECIFIED); // effective
        descriptor.push(1); // version of the file structure
        Ok(descriptor)
    }
}

/// A directory record (9.1).
fn record(identifier: &[u8], extent: Extent, directory: bool, system_use: &[u8]) -> Result<Vec<u8>, TryFromIntError> {
    let mut rest = vec![0]; // no extended attributes
    rest.extend(both_32(extent.sector));
    rest.extend(both_32(extent.bytes));
    rest.extend(RECORDED);
    rest.extend([if directory { 2 } else { 0 }, 0, 0]);
    rest.extend(both_16(1)); // the volume's number
    rest.push(u8::try_from(identifier.len())?);
    rest.extend_from_slice(identifier);
    if identifier.len().is_multiple_of(2) {
        rest.push(0);
    }
    rest.extend_from_slice(system_use);
    if rest.len().is_multiple_of(2) {
        rest.push(0);
    }
    let mut record = vec![u8::try_from(rest.len() + 1)?];
    record.append(&mut rest);
    Ok(record)
}

/// `SP` of IEEE P1281: the root's first record says that system use fields follow its rules.
fn sharing_protocol() -> [u8; 7] {
    [b'S', b'P', 7, 1, 0xbe, 0xef, 0]
}

/// `CE` of IEEE P1281: more fields at another place, here one that is too long for a record.
fn continuation(extent: Extent) -> Vec<u8> {
    [b"CE\x1c\x01".as_slice(), &both_32(extent.sector), &both_32(0), &both_32(extent.bytes)].concat()
}

/// `ER` of IEEE P1281, with the texts that IEEE P1282 prescribes.
fn extension_reference() -> Result<Vec<u8>, TryFromIntError> {
    let identifier = b"RRIP_1991A".as_slice();
    let description = b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS".as_slice();
    let source = b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR \
        FOR CONTACT INFORMATION."
        .as_slice();
    let length = |text: &[u8]| u8::try_from(text.len());
    let lengths = [length(identifier)?, length(description)?, length(source)?, 1];
    let total = u8::try_from(8 + identifier.len() + description.len() + source.len())?;
    Ok([b"ER".as_slice(), &[total, 1], &lengths, identifier, description, source].concat())
}

/// `PX` of IEEE P1282: mode and links; owner and group are root.
fn posix_attributes(mode: u32, links: u32) -> Vec<u8> {
    [b"PX\x24\x01".as_slice(), &both_32(mode), &both_32(links), &both_32(0), &both_32(0)].concat()
}

/// `NM` of IEEE P1282: the real name.
fn alternate_name(name: &str) -> Result<Vec<u8>, TryFromIntError> {
    Ok([b"NM".as_slice(), &[u8::try_from(5 + name.len())?, 1, 0], name.as_bytes()].concat())
}

/// A number in both byte orders (7.2.3).
fn both_16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

/// A number in both byte orders (7.3.3).
fn both_32(number: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

/// Reads an image by its directory records and Rock Ridge names, sharing no code with the writer.
#[cfg(test)]
pub(crate) mod reader {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

    use std::collections::BTreeMap;

    /// The number at `at`, both of whose forms must agree.
    fn number(bytes: &[u8], at: usize) -> usize {
        let little = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let big = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        assert_eq!(little, big, "the two byte orders at {at}");
        little as usize
    }

    pub(crate) fn volume(image: &[u8]) -> &str {
        let descriptor = &image[16 * 2048..17 * 2048];
        assert_eq!(&descriptor[..7], b"\x01CD001\x01");
        assert_eq!(number(descriptor, 80) * 2048, image.len(), "the volume's size");
        assert_eq!(&image[17 * 2048..17 * 2048 + 7], b"\xffCD001\x01");
        std::str::from_utf8(&descriptor[40..72]).unwrap().trim_end_matches(' ')
    }

    /// Path to contents, of all files.
    pub(crate) fn files(image: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        walk(image, &image[16 * 2048 + 156..], "", &mut found);
        found
    }

    /// Path-table entries: identifier, sector, parent's number.
    pub(crate) fn path_table(image: &[u8]) -> Vec<(String, usize, usize)> {
        let descriptor = &image[16 * 2048..17 * 2048];
        let size = number(descriptor, 132);
        let little = u32::from_le_bytes(descriptor[140..144].try_into().unwrap()) as usize * 2048;
        let big = u32::from_be_bytes(descriptor[148..152].try_into().unwrap()) as usize * 2048;
        let (little, big) = (&image[little..little + size], &image[big..big + size]);
        let (mut entries, mut at) = (Vec::new(), 0);
        while at < size {
            let length = usize::from(little[at]);
            let sector = u32::from_le_bytes(little[at + 2..at + 6].try_into().unwrap());
            assert_eq!(sector, u32::from_be_bytes(big[at + 2..at + 6].try_into().unwrap()));
            let parent = u16::from_le_bytes(little[at + 6..at + 8].try_into().unwrap());
            assert_eq!(parent, u16::from_be_bytes(big[at + 6..at + 8].try_into().unwrap()));
            let name = String::from_utf8(little[at + 8..at + 8 + length].to_vec()).unwrap();
            entries.push((name, sector as usize, usize::from(parent)));
            at += 8 + length.next_multiple_of(2);
        }
        entries
    }

    fn walk(image: &[u8], directory: &[u8], prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        let (start, size) = (number(directory, 2) * 2048, number(directory, 10));
        for sector in image[start..start + size].chunks(2048) {
            let mut at = 0;
            while at < sector.len() && sector[at] != 0 {
                let record = &sector[at..at + usize::from(sector[at])];
                at += record.len();
                let identifier = &record[33..33 + usize::from(record[32])];
                if matches!(identifier, b"\0" | b"\x01") {
                    continue;
                }
                let path = format!("{prefix}{}", real_name(&record[33 + (identifier.len() | 1)..]));
                if record[25] & 2 != 0 {
                    walk(image, record, &format!("{path}/"), found);
                } else {
                    let (start, size) = (number(record, 2) * 2048, number(record, 10));
                    assert!(found.insert(path, image[start..start + size].to_vec()).is_none());
                }
            }
        }
    }

    fn real_name(mut fields: &[u8]) -> String {
        while fields.len() >= 4 {
            let (field, rest) = fields.split_at(usize::from(fields[2]));
            if field.starts_with(b"NM") {
                return String::from_utf8(field[5..].to_vec()).unwrap();
            }
            fields = rest;
        }
        panic!("a record without its real name");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

    use super::*;

    fn named(paths: &[String]) -> Vec<(&str, &[u8])> {
        paths.iter().map(|path| (path.as_str(), path.as_bytes())).collect()
    }

    #[test]
    fn files_are_read_back_under_their_real_names() {
        let long = vec![7; 5000];
        let files: [(&str, &[u8]); 4] = [("a/b/meta_data.json", b"{}"), ("a/user_data", &long), ("top", b"x"), ("2012-08-10/empty", b"")];
        let image = image("config-2", &files).unwrap();
        assert_eq!(reader::volume(&image), "config-2");
        let expected = files.iter().map(|(path, contents)| ((*path).to_owned(), contents.to_vec())).collect();
        assert_eq!(reader::files(&image), expected);
    }

    #[test]
    fn a_directory_of_many_sectors_is_read_back_whole() {
        let paths: Vec<String> = (0..100).map(|number| format!("folder/file-{number}.json")).collect();
        let image = image("many", &named(&paths)).unwrap();
        let files = reader::files(&image);
        assert_eq!(files.len(), 100);
        assert!(paths.iter().all(|path| files[path] == path.as_bytes()));
    }

    #[test]
    fn the_path_table_is_ordered_by_level_and_knows_the_parents() {
        let image = image("v", &[("b/z/1", b"1"), ("a/y/2", b"2"), ("c-d/x/3", b"3")]).unwrap();
        let table = reader::path_table(&image);
        let shape: Vec<(&str, usize)> = table.iter().map(|(name, _, parent)| (name.as_str(), *parent)).collect();
        assert_eq!(shape, [("\0", 1), ("A", 1), ("B", 1), ("C_D", 1), ("Y", 2), ("Z", 3), ("X", 4)]);
        for (name, sector, _) in &table {
            let own = u32::from_le_bytes(image[sector * 2048 + 2..sector * 2048 + 6].try_into().unwrap());
            assert_eq!(own as usize, *sector, "the directory {name:?} begins with its own record");
        }
    }

    #[test]
    fn the_extension_lies_behind_the_directories() {
        let image = image("v", &[("a/b/c", b"1")]).unwrap();
        let field = image.windows(4).position(|bytes| bytes == b"CE\x1c\x01").unwrap();
        let sector = u32::from_le_bytes(image[field + 4..field + 8].try_into().unwrap()) as usize;
        assert!(image[sector * SECTOR..].starts_with(b"ER"));
        assert!(reader::path_table(&image).iter().all(|(_, directory, _)| *directory < sector));
    }

    #[test]
    fn equal_contents_are_stored_once() {
        let contents = vec![1; 100_000];
        let once = image("v", &[("a", &contents)]).unwrap();
        let twice = image("v", &[("a", &contents), ("b", &contents)]).unwrap();
        assert_eq!(once.len(), twice.len());
    }

    #[test]
    fn a_name_that_fits_no_record_is_an_error() {
        assert!(image("v", &[(&"n".repeat(300), b"")]).is_err());
    }
}
