import Glibc

/// A call to the operating system that failed on a file.
public struct FileError: ReportableError, Equatable {
  /// What was tried: "open", "write", ….
  public let operation: String
  public let path: String
  /// The system's error number.
  public let code: Int32

  public init(operation: String, path: String, code: Int32 = errno) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  public var description: String {
    "can't \(operation) \(printable(path, limit: 400)): \(String(cString: strerror(code)))"
  }

  public var exitStatus: ExitStatus { .inputOutput }
}

/// Files that are on the disk, whole, once the call that writes them has returned.
public enum DurableFile {
  /// Writes a file that no reader ever sees half of: `body` fills a file beside the final name,
  /// which is flushed to the disk and renamed; then the folder's entry is flushed as well.
  ///
  /// When `body` or any step throws, what stood at `path` before is untouched and the file
  /// beside it is removed.
  /// - Throws: ``FileError``, or what `body` throws.
  public static func write(
    to path: String, permissions: mode_t = 0o644, _ body: (borrowing FileWriter) throws -> Void
  ) throws {
    try write(through: path) { beside in
      try body(try FileWriter(creating: beside, permissions: permissions))
    }
  }

  /// The same for a file that a library writes by its name: `body` writes the file whose path it is
  /// given.
  public static func write(through path: String, _ body: (String) throws -> Void) throws {
    let beside = self.beside(path)
    do {
      try body(beside)
      try settle(beside, as: path)
    } catch {
      _ = unlink(beside)
      throw error
    }
  }

  /// Where a file grows until it is complete: beside its final name, apart from other processes'.
  public static func beside(_ path: String) -> String { "\(path).\(getpid()).partial" }

  /// Flushes a complete file to the disk and gives it its final name, in place of what stood there;
  /// then the folder's entry is flushed as well.
  public static func settle(_ beside: String, as path: String) throws {
    try synchroniseFile(beside)
    guard rename(beside, path) == 0 else { throw FileError(operation: "rename to", path: path) }
    try synchroniseFolder(folder(of: path))
  }

  /// Writes `bytes`, as ``write(to:permissions:_:)`` does.
  public static func write(_ bytes: [UInt8], to path: String) throws {
    try write(to: path) { file in try bytes.withUnsafeBytes { try file.write($0) } }
  }

  /// Writes `text` in UTF-8, as ``write(to:permissions:_:)`` does.
  public static func write(_ text: String, to path: String) throws {
    try write(to: path) { file in try file.write(text) }
  }

  /// Writes a file that no reader ever sees half of, and that is written anew soon: it is not flushed to the
  /// disk, so a loss of power may take it away.
  /// - Throws: ``FileError``; then what stood at `path` is untouched.
  public static func replace(_ path: String, with text: String) throws {
    let beside = self.beside(path)
    do {
      let file = try FileWriter(creating: beside)
      try file.write(text)
      guard rename(beside, path) == 0 else { throw FileError(operation: "rename to", path: path) }
    } catch {
      _ = unlink(beside)
      throw error
    }
  }

  /// Flushes a file that something else has written.
  public static func synchroniseFile(_ path: String) throws {
    try synchronise(path, flags: O_RDONLY)
  }

  /// Flushes a folder's entries, so that the names in it survive a loss of power.
  public static func synchroniseFolder(_ path: String) throws {
    try synchronise(path, flags: O_RDONLY | O_DIRECTORY)
  }

  private static func synchronise(_ path: String, flags: Int32) throws {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(operation: "open", path: path) }
    defer { close(descriptor) }
    // Some file systems can't flush a folder and say EINVAL: there is nothing more to do then.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw FileError(operation: "flush", path: path)
    }
  }

  /// Makes a folder, and those that it lies in, where they are not there yet.
  /// - Throws: ``FileError``.
  public static func makeFolder(_ path: String) throws {
    if mkdir(path, 0o777) == 0 { return }
    if errno == ENOENT, !path.isEmpty {
      try makeFolder(folder(of: path))
      if mkdir(path, 0o777) == 0 { return }
    }
    let code = errno
    if code == EEXIST, isFolder(path) { return }
    throw FileError(operation: "create the folder", path: path, code: code)
  }

  /// Whether there is a folder at `path`.
  public static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The folder that `path` lies in.
  public static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// A file open for writing from its beginning; closed when the value goes.
public struct FileWriter: ~Copyable {
  private let descriptor: Int32
  private let path: String

  /// Creates the file, or empties it.
  /// - Throws: ``FileError``.
  public init(creating path: String, permissions: mode_t = 0o644) throws {
    let opened = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, permissions)
    guard opened >= 0 else { throw FileError(operation: "create", path: path) }
    descriptor = opened
    self.path = path
  }

  deinit { close(descriptor) }

  /// Appends `bytes`, however many calls that takes.
  public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let written = Glibc.write(descriptor, rest.baseAddress, Swift.min(rest.count, 1 << 30))
      if written < 0 {
        if errno == EINTR { continue }
        throw FileError(operation: "write", path: path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  /// Appends `text` in UTF-8.
  public borrowing func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
  }

  /// Waits until everything written is on the disk.
  public borrowing func synchronise() throws {
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw FileError(operation: "flush", path: path)
    }
  }
}

/// A file open for reading at any place; closed when the value goes.
public struct FileReader: ~Copyable {
  private let descriptor: Int32
  private let path: String
  /// Bytes in the file when it was opened.
  public let size: Int

  /// Opens a regular file.
  /// - Throws: ``FileError``; a folder, device or pipe is refused.
  public init(opening path: String) throws {
    // Not to wait for ever where a pipe has been put in a file's place.
    let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else { throw FileError(operation: "open", path: path) }
    var status = stat()
    guard fstat(opened, &status) == 0 else {
      let failure = FileError(operation: "examine", path: path)
      close(opened)
      throw failure
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw FileError(
        operation: "read", path: path, code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
    }
    descriptor = opened
    size = Int(status.st_size)
    self.path = path
  }

  deinit { close(descriptor) }

  /// Fills `bytes` from `offset` on.
  /// - Returns: how many bytes there were; fewer than asked for only at the end of the file.
  public borrowing func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws
    -> Int
  {
    var done = 0
    while done < bytes.count {
      let count = pread(
        descriptor, bytes.baseAddress! + done, Swift.min(bytes.count - done, 1 << 30),
        off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(operation: "read", path: path)
      }
      if count == 0 { break }
      done += count
    }
    return done
  }
}
