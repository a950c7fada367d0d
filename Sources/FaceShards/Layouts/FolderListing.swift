import Foundation
import Foundations

/// The files below a folder. Names are bytes. Links to files and folders are followed, as people make
/// data sets of them; every folder is read once, so that loops end and give nothing twice.
struct FolderListing {
  /// Regular files, relative to the folder, sorted by bytes.
  private(set) var files: [BytePath] = []
  /// What was passed over and why, and what lies elsewhere, one line each.
  var notes: [String] { remarks.values.sorted { $0.order < $1.order }.map(\.line) }
  /// Those of ``notes`` that tell of files that are missing from ``files``.
  var losses: [String] {
    remarks.filter { $0.key != .aside && $0.key != .outside }.values.sorted { $0.order < $1.order }
      .map(\.line)
  }

  private struct Identity: Hashable {
    let device: UInt64
    let node: UInt64

    init(_ status: stat) {
      device = UInt64(status.st_dev)
      node = UInt64(status.st_ino)
    }
  }

  private enum Kind: Int {
    case aside, outside, nowhere, above, again, special, unknown
  }

  /// What happened to some files, told in one line: the first few by name, all by number.
  private struct Remark {
    let order: Int
    /// How many are told by name.
    let shown: Int
    /// For one, and for several.
    let words: (one: String, several: String)
    var count = 0
    var examples: [String] = []

    var line: String {
      let rest = count - examples.count
      return examples.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "") + ": "
        + (count == 1 ? words.one : "\(count) \(words.several)")
    }
  }

  private let root: BytePath
  private let realRoot: [UInt8]
  private var remarks: [Kind: Remark] = [:]
  /// Folders that were read, and under which name.
  private var read: [Identity: BytePath] = [:]
  /// Links to folders, which are followed when all other folders were read.
  private var links: [BytePath] = []

  /// Names of what other programs leave beside people's files, in lower case. Names that begin with a
  /// dot belong here too.
  private static let strangers: Set<String> = [
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "__macosx",
    "__pycache__", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
    "ehthumbs.db", "desktop.ini",
  ]

  /// Throws ``PackError`` if a folder can't be read.
  ///
  /// - Parameter found: called for every file.
  init(of root: BytePath, found: () -> Void = {}) throws {
    self.root = root
    guard let real = Self.realPath(root) else {
      throw PackError.inputOutput(
        "\(root): can't be opened: \(String(cString: strerror(errno)))")
    }
    realRoot = real
    try walk(BytePath(bytes: []), found)
    // Links that are found on the way come to the end, so that this ends: every folder is read once.
    var next = 0
    while next < links.count {
      try follow(links[next], found)
      next += 1
    }
    files.sort()
  }

  private func full(_ relative: BytePath) -> BytePath {
    relative.bytes.isEmpty ? root : root.appending(relative.bytes)
  }

  private mutating func note(_ kind: Kind, _ example: String, _ one: String, _ several: String) {
    var remark =
      remarks[kind]
      ?? Remark(
        order: kind.rawValue, shown: kind == .outside ? 1 : 3, words: (one, several))
    remark.count += 1
    if remark.examples.count < remark.shown { remark.examples.append(example) }
    remarks[kind] = remark
  }

  private mutating func walk(_ folder: BytePath, _ found: () -> Void) throws {
    let path = full(folder)
    if let own = Self.status(path, followingLinks: true) {
      let identity = Identity(own)
      if let earlier = read[identity] {
        note(
          .again, "\(path) (\(full(earlier)))",
          "leads to a folder that is read already; not read again",
          "lead to folders that are read already; not read again")
        return
      }
      read[identity] = folder
    }
    for name in try Self.names(path) {
      let relative = folder.appending(name)
      if Self.isStranger(name) {
        // Its own hidden folder is no news.
        if folder.bytes.isEmpty, name.starts(with: ".packing".utf8) { continue }
        note(
          .aside, "\(full(relative))", "hidden, or left by another program; not read",
          "hidden, or left by other programs; not read")
        continue
      }
      guard let status = Self.status(full(relative), followingLinks: false) else {
        note(
          .unknown, "\(full(relative))", "gone, or can't be examined; passed over",
          "gone, or can't be examined; passed over")
        continue
      }
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        files.append(relative)
        found()
      case S_IFDIR:
        try walk(relative, found)
      case S_IFLNK:
        examine(link: relative, found)
      default:
        note(
          .special, "\(full(relative))", "neither a file nor a folder; passed over",
          "are neither files nor folders; passed over")
      }
    }
  }

  /// Takes a link to a file, keeps one to a folder for later.
  private mutating func examine(link: BytePath, _ found: () -> Void) {
    let path = full(link)
    guard let behind = Self.status(path, followingLinks: true), let target = Self.realPath(path)
    else {
      note(
        .nowhere, "\(path)\(Self.target(path))", "a link that leads nowhere; passed over",
        "links that lead nowhere; passed over")
      return
    }
    switch behind.st_mode & S_IFMT {
    case S_IFREG:
      noteOutside(path, target)
      files.append(link)
      found()
    case S_IFDIR:
      links.append(link)
    default:
      note(
        .special, "\(path)", "neither a file nor a folder; passed over",
        "are neither files nor folders; passed over")
    }
  }

  private mutating func follow(_ link: BytePath, _ found: () -> Void) throws {
    let path = full(link)
    guard let target = Self.realPath(path) else { return }
    let slash: [UInt8] = [47]
    // What lies above the folder holds the folder itself, and whatever else is on the machine.
    let isAbove = target == realRoot || target == slash || realRoot.starts(with: target + slash)
    let own = Self.status(path, followingLinks: true).map(Identity.init)
    let holdsLink = own.flatMap { read[$0] }.map { link.bytes.starts(with: $0.bytes + slash) }
    if isAbove || holdsLink == true {
      note(
        .above, "\(path)", "a link to a folder above itself; not followed",
        "links to folders above themselves; not followed")
      return
    }
    noteOutside(path, target)
    try walk(link, found)
  }

  /// Remarks on a link out of the folder: a shard holds pictures that its owner may not have meant to
  /// give away.
  private mutating func noteOutside(_ path: BytePath, _ target: [UInt8]) {
    guard realRoot != [47], !target.starts(with: realRoot + [47]) else { return }
    note(
      .outside, "\(path) (\(BytePath(bytes: target)))",
      "a link out of the folder; what it leads to is read",
      "links out of the folder; what they lead to is read")
  }

  private static func isStranger(_ name: [UInt8]) -> Bool {
    name.first == UInt8(ascii: ".")
      || (name.count <= 32
        && strangers.contains(String(decoding: name, as: UTF8.self).lowercased()))
  }

  /// The names in a folder, sorted by bytes.
  private static func names(_ path: BytePath) throws -> [[UInt8]] {
    func failure(_ code: Int32) -> PackError {
      .inputOutput("\(path): can't be listed: \(String(cString: strerror(code)))")
    }
    guard let stream = path.withCString({ opendir($0) }) else { throw failure(errno) }
    var names: [[UInt8]] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(
          to: UInt8.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)
        ) { Array(UnsafeBufferPointer(start: $0, count: strlen($0))) }
      }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
      errno = 0
    }
    let code = errno
    closedir(stream)
    if code != 0 { throw failure(code) }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private static func status(_ path: BytePath, followingLinks: Bool) -> stat? {
    var status = stat()
    let result = path.withCString { followingLinks ? stat($0, &status) : lstat($0, &status) }
    return result == 0 ? status : nil
  }

  /// What a link says, in brackets; nothing if it can't be read.
  private static func target(_ path: BytePath) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = path.withCString { path in
      bytes.withUnsafeMutableBytes { raw in
        readlink(path, raw.baseAddress!.assumingMemoryBound(to: CChar.self), raw.count)
      }
    }
    return count > 0 ? " (\(BytePath(bytes: Array(bytes[..<count]))))" : ""
  }

  private static func realPath(_ path: BytePath) -> [UInt8]? {
    guard let resolved = path.withCString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return resolved.withMemoryRebound(to: UInt8.self, capacity: strlen(resolved)) {
      Array(UnsafeBufferPointer(start: $0, count: strlen(resolved)))
    }
  }
}
