import Foundation

/// Whether another program writes a file at this moment.
///
/// HDF5 has writers hold a lock (`flock`) of their own on the whole file. What they have not written
/// yet reads as zeros or not at all, and in files of the usual kind nothing else tells. The lock that is
/// taken here goes at once: readers hold none, as not every network file system has locks.
enum WriterCheck {
  /// Whether a writer holds its lock. Without locks, by the file system or by the library's own
  /// `HDF5_USE_FILE_LOCKING`, nobody does.
  static func isWritten(_ path: String) -> Bool {
    let setting = getenv("HDF5_USE_FILE_LOCKING").map { String(cString: $0) }
    if let setting, ["FALSE", "0"].contains(setting.uppercased()) { return false }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    // Closing it ends the lock.
    defer { close(descriptor) }
    return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
  }
}
