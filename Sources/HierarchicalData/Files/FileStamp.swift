import Foundation

/// What tells a file, and that nobody has changed it: device, inode, size, and when it was written.
public struct FileStamp: Hashable, Sendable {
  public var device: Int
  public var inode: Int
  public var size: Int
  /// Nanoseconds since 1970.
  public var modified: Int

  public init(device: Int, inode: Int, size: Int, modified: Int) {
    (self.device, self.inode, self.size, self.modified) = (device, inode, size, modified)
  }

  private init(_ status: stat) {
    self.init(
      device: Int(truncatingIfNeeded: status.st_dev), inode: Int(truncatingIfNeeded: status.st_ino),
      size: Int(status.st_size),
      modified: status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec)
  }

  /// That of the file of this name; `nil` if there is none.
  public init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  /// That of an open file.
  public init?(of descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }
}

/// A file whose structure was walked through and found right: as long as it is the same file, it need not
/// be again.
public struct CheckedFile: Hashable, Sendable {
  public let identity: FileStamp
  /// Where the HDF5 part begins.
  public let base: Int
  /// Why the file may lack something: it has another size than it says.
  let unfinished: String?

  init(identity: FileStamp, base: Int, unfinished: String?) {
    (self.identity, self.base, self.unfinished) = (identity, base, unfinished)
  }

  /// A file that was checked by another process, or before.
  public init(identity: FileStamp, base: Int) {
    self.init(identity: identity, base: base, unfinished: nil)
  }
}
