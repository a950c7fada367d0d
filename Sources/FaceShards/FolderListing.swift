import Foundation

/// The files below a folder, for `pack`. Names are bytes; links are followed only to what lies inside
/// the folder too, so that a shard never holds pictures its owner didn't mean to give away.
struct FolderListing {
  /// Regular files, relative to the folder, sorted by bytes.
  private(set) var files: [BytePath] = []
  /// What was passed over and why, one line each.
  private(set) var notes: [String] = []

  private struct Identity: Hashable {
    let device: UInt64
    let node: UInt64
  }

  private let root: BytePath
  private let realRoot: [UInt8]

  /// Lists everything but hidden files (names that start with a dot). Throws ``PackError`` if a
  /// folder can't be read.
  ///
  /// - Parameter found: called for every file.
  init(of root: BytePath, found: () -> Void = {}) throws {
    self.root = root
    guard let real = Self.realPath(root) else {
      throw PackError.inputOutput(
        "\(root): can't be opened: \(String(cString: strerror(errno)))")
    }
    realRoot = real
    try walk(BytePath(bytes: []), ancestors: [], found)
    files.sort()
  }

  private func full(_ relative: BytePath) -> BytePath {
    relative.bytes.isEmpty ? root : root.appending(relative.bytes)
  }

  private mutating func walk(
    _ folder: BytePath, ancestors: Set<Identity>, _ found: () -> Void
  ) throws {
    let path = full(folder)
    guard let stream = path.withCString({ opendir($0) }) else {
      throw PackError.inputOutput(
        "\(path): can't be listed: \(String(cString: strerror(errno)))")
    }
    var names: [[UInt8]] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(
          to: UInt8.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)
        ) { Array(UnsafeBufferPointer(start: $0, count: strlen($0))) }
      }
      if name.first != UInt8(ascii: ".") { names.append(name) }
      errno = 0
    }
    let failure = errno
    closedir(stream)
    if failure != 0 {
      throw PackError.inputOutput(
        "\(path): can't be listed: \(String(cString: strerror(failure)))")
    }
    var chain = ancestors
    if let own = Self.status(path, followingLinks: true) { chain.insert(Self.identity(own)) }

    names.sort { $0.lexicographicallyPrecedes($1) }
    for name in names {
      let relative = folder.appending(name)
      guard var status = Self.status(full(relative), followingLinks: false) else { continue }
      if status.st_mode & S_IFMT == S_IFLNK {
        guard let target = Self.realPath(full(relative)),
          let behind = Self.status(full(relative), followingLinks: true)
        else {
          notes.append("\(full(relative)): a link that leads nowhere; passed over")
          continue
        }
        guard target == realRoot || target.starts(with: realRoot + [47]) || realRoot == [47] else {
          notes.append("\(full(relative)): a link that leads out of the folder; not followed")
          continue
        }
        status = behind
      }
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        files.append(relative)
        found()
      case S_IFDIR:
        if chain.contains(Self.identity(status)) {
          notes.append("\(full(relative)): a link to a folder above itself; not followed")
        } else {
          try walk(relative, ancestors: chain, found)
        }
      default:
        notes.append("\(full(relative)): neither a file nor a folder; passed over")
      }
    }
  }

  private static func identity(_ status: stat) -> Identity {
    Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino))
  }

  private static func status(_ path: BytePath, followingLinks: Bool) -> stat? {
    var status = stat()
    let result = path.withCString { followingLinks ? stat($0, &status) : lstat($0, &status) }
    return result == 0 ? status : nil
  }

  private static func realPath(_ path: BytePath) -> [UInt8]? {
    guard let resolved = path.withCString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return resolved.withMemoryRebound(to: UInt8.self, capacity: strlen(resolved)) {
      Array(UnsafeBufferPointer(start: $0, count: strlen(resolved)))
    }
  }
}
