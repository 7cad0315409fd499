//! The files that a log is rotated into, in the order in which they were written. Pure, but for [`list`].
//!
//! Of `audit.log` these are `audit.log.1` (logrotate; the higher number is older), `audit.log-20261127` (logrotate with
//! dates) and `audit-2026-11-27T10-00-00.000.log` (the API server), each also compressed with a final `.gz`.

use std::cmp::Reverse;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where a file is in the order of its family, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The number behind the name; the highest is the oldest.
    Numbered(Reverse<u64>),
    /// What follows the name and begins with a digit.
    Dated(String),
    /// The path itself.
    Live,
}

/// One file of a family, as it is now.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) path: PathBuf,
    pub(super) rank: Rank,
    pub(super) gzip: bool,
    /// Device and inode.
    pub(super) inode: (u64, u64),
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
}

/// The rank of a file name in the family of `live`, and whether it is compressed.
pub(super) fn rank(live: &str, name: &str) -> Option<(Rank, bool)> {
    if name == live {
        return Some((Rank::Live, false));
    }
    let (plain, gzip) = name.strip_suffix(".gz").map_or((name, false), |plain| (plain, true));
    let behind = |stem: &str| plain.strip_prefix(stem);
    if let Some(number) = behind(live).and_then(|rest| rest.strip_prefix('.'))
        && let Ok(number) = number.parse()
    {
        return Some((Rank::Numbered(Reverse(number)), gzip));
    }
    let (stem, extension) = live.rfind('.').map_or((live, ""), |dot| live.split_at(dot));
    let dated = [behind(live), behind(stem).and_then(|rest| rest.strip_suffix(extension))];
    let dated = dated.into_iter().flatten().filter_map(|rest| rest.strip_prefix(['-', '.', '_']));
    // Nothing but a date: `log.1.xz` and `log.1.bak` are not text that can be read here.
    let is_date = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || "-_.:+TZ".contains(c))
            && !text.ends_with('.')
    };
    dated.into_iter().find(is_date).map(|text| (Rank::Dated(text.to_owned()), gzip))
}

/// The family of a path, oldest first. What is not a regular file is left out, and so is the compressed copy of a file
/// that is still there: it may not be complete. Empty while the folder cannot be read.
pub(super) fn list(live: &Path) -> Vec<Member> {
    let (Some(folder), Some(name)) = (live.parent(), live.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut members: Vec<Member> = entries
        .filter_map(|entry| {
            let (rank, gzip) = rank(name, entry.file_name().to_str()?)?;
            member(entry.path(), rank, gzip).ok()?
        })
        .collect();
    members.sort_by(|one, other| (&one.rank, one.gzip).cmp(&(&other.rank, other.gzip)));
    members.dedup_by(|later, earlier| later.rank == earlier.rank);
    members
}

fn member(path: PathBuf, rank: Rank, gzip: bool) -> io::Result<Option<Member>> {
    let metadata = std::fs::metadata(&path)?;
    let (inode, bytes, modified) = (inode(&metadata), metadata.len(), metadata.modified().ok());
    Ok(metadata.is_file().then_some(Member { path, rank, gzip, inode, bytes, modified }))
}

/// Device and inode: what a name leads to, whatever the name.
pub(super) fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_known_by_its_names() {
        let order = |live: &str, mut names: Vec<&'static str>| {
            names.retain(|name| rank(live, name).is_some());
            names.sort_by_key(|name| rank(live, name).unwrap());
            names
        };
        assert_eq!(
            order(
                "audit.log",
                vec!["audit.log", "audit.log.1", "audit.log.10.gz", "audit.log.2", "other.log"]
            ),
            ["audit.log.10.gz", "audit.log.2", "audit.log.1", "audit.log"]
        );
        let server = [
            "audit.log",
            "audit-2026-11-27T10-00-00.000.log.gz",
            "audit-2026-11-27T11-00-00.000.log",
            "audit-webhook.log",
            "audit.log.swp",
            "audit-policy.yaml",
        ];
        assert_eq!(order("audit.log", server.to_vec()), [server[1], server[2], server[0]]);
        assert_eq!(
            order(
                "log",
                vec![
                    "log",
                    "log-20261128",
                    "log-20261127.gz",
                    "log2",
                    "logs",
                    "log.old",
                    "log.1.xz",
                    "log.1.bak"
                ]
            ),
            ["log-20261127.gz", "log-20261128", "log"]
        );
    }
}
