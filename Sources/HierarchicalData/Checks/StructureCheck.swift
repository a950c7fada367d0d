import Foundation

/// Walks through the structure of a file before the library does.
///
/// Objects, groups, trees of chunks and the heaps of strings carry no checksum in files of the usual
/// kind, and version 1.10 of the library reads and writes past the end of its buffers where they are
/// wrong. What has a checksum (the indices that `libver="latest"` makes) is left to it.
///
/// Every place is visited once, so that a file is walked through in time proportional to its size.
///
/// Source: HDF5 File Format Specification, version 3.0.
struct StructureCheck {
  /// Whether HDF5's signature was found.
  private(set) var isHDF5 = false
  /// That the file is longer than it says; `nil` if it isn't. Nothing is wrong with that by itself.
  var unfinished: String?

  /// Open only while this is made.
  private let descriptor: Int32
  private let identity: FileStamp
  var fileSize = 0
  /// Where the HDF5 part begins.
  var base = 0
  var leafRank = 4
  var internalRank = 16
  var chunkRank = 32
  private var visited = Set<UInt64>()
  /// The heap that belongs to a group's tree.
  var groups: [UInt64: UInt64] = [:]
  /// Objects that links lead to; of the root, as long as nothing else is walked through.
  var children: [UInt64] = []
  /// Whether a link was met that names a path, which may lead to any object.
  var hasSoftLinks = false
  /// Rows that lie in one piece each, by the addresses of their datasets.
  var rowsByObject: [UInt64: StoredRows] = [:]
  /// Those of the dataset whose tree is walked through.
  var collected: RowCollection?
  /// Addresses of what the root group leads to by names, where it is of the old kind.
  var rootObjects: [String: UInt64] = [:]
  /// Groups that are walked through at this moment, one in another.
  var depth = 0
  /// Whether the root group is behind.
  var isBelowRoot = false
  /// Sizes of the texts of a heap, by their numbers.
  var heaps: [UInt64: [UInt64: UInt64]] = [:]

  static let undefined = ObjectMessages.undefined
  /// The most bytes of one object's header, of a name heap or of a heap of strings.
  private static let partLimit = 1 << 26

  /// Does nothing with a file that isn't HDF5: the library says so.
  init(of path: String) throws(StructureDamage) {
    try self.init(opening: path)
    defer { close(descriptor) }
    guard let base = try findSignature() else { return }
    self.base = base
    isHDF5 = true
    do throws(StructureDamage) { try walk() } catch {
      // What is missing was never written.
      var damage = error
      if let unfinished { damage.reason += "; \(unfinished)" }
      throw damage
    }
  }

  /// What was found out, to be remembered; `nil` of a file that isn't HDF5.
  var checked: CheckedFile? {
    isHDF5 ? CheckedFile(identity: identity, base: base, unfinished: unfinished) : nil
  }

  /// Where the rows of datasets of the root lie, of those whose every row lies in one piece.
  var rootRows: [String: StoredRows] { rootObjects.compactMapValues { rowsByObject[$0] } }

  /// Where the HDF5 part of a file begins; `nil` if it has none.
  static func beginning(of path: String) throws(StructureDamage) -> Int? {
    let reader = try StructureCheck(opening: path)
    defer { close(reader.descriptor) }
    return try reader.findSignature()
  }

  private init(opening path: String) throws(StructureDamage) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.systemError() }
    guard let identity = FileStamp(of: descriptor) else {
      let error = Self.systemError()
      close(descriptor)
      throw error
    }
    self.identity = identity
    fileSize = identity.size
  }

  private mutating func walk() throws(StructureDamage) {
    for object in try superblock() { try checkObject(object) }
    isBelowRoot = true
    // Only what lies in the root is ever opened, unless a soft link there leads deeper.
    let own = children.count
    var next = 0
    while next < (hasSoftLinks ? children.count : own) {
      try checkObject(children[next])
      next += 1
    }
  }

  private static func systemError() -> StructureDamage {
    StructureDamage(reason: String(cString: strerror(errno)), isInputOutput: true)
  }

  // MARK: Reading

  func bytes(at place: Int, _ count: Int) throws(StructureDamage) -> [UInt8] {
    var isRefused = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = pread(
          descriptor, buffer.baseAddress! + initialized, count - initialized,
          off_t(place + initialized))
        if got < 0 && errno == EINTR { continue }
        isRefused = got < 0
        if got <= 0 { break }
        initialized += got
      }
    }
    if isRefused { throw Self.systemError() }
    return bytes
  }

  /// The fields of a part of the file, all of which must be there.
  func fields(
    at address: UInt64, _ count: UInt64, _ what: String
  ) throws(StructureDamage) -> FieldReader {
    guard count <= Self.partLimit, address <= UInt64(fileSize - base),
      count <= UInt64(fileSize - base) - address
    else { throw StructureDamage(reason: "\(what) at byte \(address) lies outside the file") }
    let place = base + Int(address)
    let bytes = try bytes(at: place, Int(count))
    guard bytes.count == Int(count) else {
      throw StructureDamage(reason: "\(what) at byte \(address) is cut off")
    }
    return FieldReader(bytes, origin: place)
  }

  /// Whether this place is seen for the first time.
  mutating func isNew(_ address: UInt64) -> Bool { visited.insert(address).inserted }

  // MARK: Trees

  /// The level and the entries of a node of a tree.
  func treeHead(
    _ node: inout FieldReader, kind: Int, level: Int?, rank: Int, _ address: UInt64
  ) throws(StructureDamage) -> (level: Int, count: Int) {
    try node.expect("TREE")
    let found = (kind: try node.integer(1), level: try node.integer(1))
    let count = try node.integer(2)
    try node.skip(16)
    guard found.kind == kind, level == nil || found.level == level, found.level < 16,
      count <= 2 * rank, count > 0 || (found.level == 0 && level == nil)
    else { throw StructureDamage(reason: "the tree at byte \(address) is damaged") }
    return (found.level, count)
  }
}
