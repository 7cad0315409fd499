//! File activity: probes on functions that take a file or a path.
//!
//! Which operation a probe saw follows from its function, and for functions that open or check permissions from a
//! number among the arguments. Where that number is missing the operation is unknown, not guessed.

use lictor_wire::{FileEvent, FileOperation, FilePaths};

use super::process::process;
use super::raw::{Argument, Probe};

const MAY_WRITE: i64 = 2;
const MAY_READ: i64 = 4;
const MAY_APPEND: i64 = 8;
const PROT_READ: i64 = 1;
const PROT_WRITE: i64 = 2;
const O_ACCMODE: i64 = 3;
const O_CREAT: i64 = 0o100;
const AT_FDCWD: i64 = -100;
const AT_FDCWD_UNSIGNED: i64 = 0xffff_ff9c;

/// The file activity a probe saw; `None` when no file or path is among its arguments.
pub(super) fn probe(probe: &Probe, node: &str) -> Option<FileEvent> {
    let arguments = probe.arguments();
    let function = plain_name(&probe.function_name);
    let meaning = Meaning::of(function);
    let directory = directory(probe, &arguments);
    let mut paths = arguments
        .iter()
        .enumerate()
        .filter_map(|(i, argument)| Some((i, path(argument, meaning, directory)?)));
    let (at, first) = paths.next()?;
    let moved = (meaning == Meaning::Is(FileOperation::Rename)).then(|| paths.next_back()).flatten();
    let number = arguments.iter().skip(at + 1).find_map(integer);

    let process = process(&probe.process, probe.parent.as_ref(), &probe.ancestors, node);
    let in_container = process.pod.is_some() || process.container.is_some();
    let paths = |path: String| {
        // The sensor reports the path as the process sees it.
        if in_container {
            FilePaths { effective: path, ..FilePaths::default() }
        } else {
            FilePaths { actual: path, ..FilePaths::default() }
        }
    };
    let operation = meaning.operation(number);
    let mode = (operation == FileOperation::PermissionChange)
        .then(|| number.and_then(|mode| u32::try_from(mode).ok()))
        .flatten();
    Some(FileEvent {
        operation,
        file: paths(first),
        moved: moved.map(|(_, path)| paths(path)),
        mode,
        pod: process.pod.clone(),
        container: process.container.clone(),
        node: node.to_owned(),
        process: Some(Box::new(process)),
    })
}

/// How the operation follows from a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It does one thing.
    Is(FileOperation),
    /// Open flags follow the path.
    OpenFlags,
    /// A mask of wanted permissions follows the file.
    Mask,
    /// Protection bits of a mapping follow the file.
    Protection,
    /// It is about a file, in a way not listed here.
    Unlisted,
}

impl Meaning {
    fn of(function: &str) -> Self {
        use FileOperation::{
            AclChange, Create, Open, OwnershipChange, PermissionChange, Read, Rename, Unlink, XattrRemove,
            XattrSet,
        };
        match function {
            "open" | "openat" | "openat2" | "do_sys_open" | "do_sys_openat2" | "do_filp_open"
            | "vfs_open" | "fd_install" | "file_open" => Self::OpenFlags,
            "file_permission" | "inode_permission" => Self::Mask,
            "mmap_file" => Self::Protection,
            "read" | "vfs_read" | "ksys_read" | "vfs_readv" => Self::Is(Read),
            "write" | "vfs_write" | "ksys_write" | "vfs_writev" | "path_truncate" | "file_truncate"
            | "do_truncate" | "vfs_truncate" | "truncate" | "ftruncate" => Self::Is(Open),
            "creat" | "vfs_create" | "inode_create" | "path_mknod" | "inode_mknod" | "vfs_mknod"
            | "mknodat" | "vfs_mkdir" | "inode_mkdir" | "path_mkdir" | "mkdir" | "mkdirat" | "do_mkdirat"
            | "vfs_symlink" | "inode_symlink" | "path_symlink" | "symlinkat" | "vfs_link" | "inode_link"
            | "path_link" | "linkat" => Self::Is(Create),
            "do_unlinkat" | "vfs_unlink" | "inode_unlink" | "path_unlink" | "unlink" | "unlinkat"
            | "do_rmdir" | "vfs_rmdir" | "inode_rmdir" | "path_rmdir" | "rmdir" => Self::Is(Unlink),
            "vfs_rename" | "do_renameat2" | "inode_rename" | "path_rename" | "rename" | "renameat"
            | "renameat2" => Self::Is(Rename),
            "chmod" | "fchmodat" | "fchmodat2" | "chmod_common" | "do_fchmodat" | "path_chmod" => {
                Self::Is(PermissionChange)
            }
            "chown" | "fchownat" | "chown_common" | "do_fchownat" | "path_chown" => Self::Is(OwnershipChange),
            "inode_set_acl" | "vfs_set_acl" | "inode_remove_acl" | "vfs_remove_acl" => Self::Is(AclChange),
            "setxattr" | "vfs_setxattr" | "inode_setxattr" => Self::Is(XattrSet),
            "removexattr" | "vfs_removexattr" | "inode_removexattr" => Self::Is(XattrRemove),
            _ => Self::Unlisted,
        }
    }

    fn operation(self, number: Option<i64>) -> FileOperation {
        match (self, number) {
            (Self::Is(operation), _) => operation,
            (Self::OpenFlags, Some(flags)) if flags & O_CREAT != 0 => FileOperation::Create,
            (Self::OpenFlags, Some(flags)) if flags & O_ACCMODE != 0 => FileOperation::Open,
            (Self::Mask, Some(mask)) if mask & (MAY_WRITE | MAY_APPEND) != 0 => FileOperation::Open,
            (Self::Mask, Some(mask)) if mask & MAY_READ != 0 => FileOperation::Read,
            (Self::Protection, Some(bits)) if bits & PROT_WRITE != 0 => FileOperation::Open,
            (Self::Protection, Some(bits)) if bits & PROT_READ != 0 => FileOperation::Read,
            (Self::OpenFlags, Some(_)) => FileOperation::Read,
            (Self::OpenFlags | Self::Mask | Self::Protection | Self::Unlisted, _) => FileOperation::Unknown,
        }
    }
}

/// A function's name without what distinguishes hooks of one operation: `security_file_open` and the security module's
/// `file_open`, `__x64_sys_openat` and `sys_openat`.
fn plain_name(function: &str) -> &str {
    let name = ["__x64_", "__arm64_", "__ia32_", "__se_"]
        .into_iter()
        .find_map(|architecture| function.strip_prefix(architecture))
        .unwrap_or(function);
    name.strip_prefix("sys_").or_else(|| name.strip_prefix("security_")).unwrap_or(name)
}

/// Where relative names start: the working directory, unless the call names another by a descriptor, which nobody
/// can resolve afterwards.
fn directory<'a>(probe: &'a Probe, arguments: &[Argument]) -> Option<&'a str> {
    let descriptor = arguments.first().and_then(integer);
    let here = descriptor.is_none_or(|number| number == AT_FDCWD || number == AT_FDCWD_UNSIGNED);
    Some(probe.process.cwd.as_str()).filter(|directory| here && !directory.is_empty())
}

fn path(argument: &Argument, meaning: Meaning, directory: Option<&str>) -> Option<String> {
    if let Some(file) = argument.file_arg.as_ref().or(argument.path_arg.as_ref()) {
        let path = file.path.as_str();
        if path.is_empty() {
            return None;
        }
        let mount = file.mount.trim_end_matches('/');
        let within = mount.is_empty() || path.starts_with(mount);
        return Some(if within { path.to_owned() } else { join(mount, path) });
    }
    // A bare text is a path only for functions known to take one.
    let text = argument.string_arg.as_deref().filter(|_| meaning != Meaning::Unlisted)?;
    match directory {
        _ if text.is_empty() => None,
        Some(directory) if !text.starts_with('/') => Some(join(directory, text)),
        _ => Some(text.to_owned()),
    }
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{}", directory.trim_end_matches('/'), name.trim_start_matches('/'))
}

fn integer(argument: &Argument) -> Option<i64> {
    argument.int_arg.or(argument.uint_arg).or(argument.size_arg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_from_the_function_and_its_number() {
        let cases = [
            ("security_file_permission", Some(4), FileOperation::Read),
            ("security_file_permission", Some(2), FileOperation::Open),
            ("security_file_permission", Some(8), FileOperation::Open),
            ("security_file_permission", Some(1), FileOperation::Unknown),
            ("security_file_permission", None, FileOperation::Unknown),
            ("security_mmap_file", Some(1), FileOperation::Read),
            ("security_mmap_file", Some(3), FileOperation::Open),
            ("fd_install", None, FileOperation::Unknown),
            ("file_open", None, FileOperation::Unknown),
            ("__x64_sys_openat", Some(0o1101), FileOperation::Create),
            ("sys_openat", Some(0o2), FileOperation::Open),
            ("sys_openat", Some(0), FileOperation::Read),
            ("security_path_truncate", None, FileOperation::Open),
            ("do_unlinkat", None, FileOperation::Unlink),
            ("security_inode_rename", None, FileOperation::Rename),
            ("vfs_setxattr", None, FileOperation::XattrSet),
            ("security_path_chown", None, FileOperation::OwnershipChange),
            ("security_bprm_check", None, FileOperation::Unknown),
        ];
        for (function, number, operation) in cases {
            assert_eq!(
                Meaning::of(plain_name(function)).operation(number),
                operation,
                "{function} {number:?}"
            );
        }
    }
}
