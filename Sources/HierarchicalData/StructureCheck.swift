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
  /// Whether addresses and lengths have 8 bytes and the file begins with HDF5's signature.
  private(set) var isPlain = false

  /// Open only while this is made.
  private let descriptor: Int32
  private var fileSize = 0
  /// Where the HDF5 part begins.
  private var base = 0
  private var leafRank = 4
  private var internalRank = 16
  private var chunkRank = 32
  private var visited = Set<UInt64>()
  /// The heap that belongs to a group's tree.
  private var groups: [UInt64: UInt64] = [:]
  /// Objects that links lead to; of the root, as long as nothing else is walked through.
  private var children: [UInt64] = []
  /// Sizes of the texts of a heap, by their numbers.
  private var heaps: [UInt64: [UInt64: UInt64]] = [:]

  private static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
  private static let undefined = ObjectMessages.undefined
  /// The most bytes of one object's header, of a name heap or of a heap of strings.
  private static let partLimit = 1 << 26

  /// Does nothing with a file that isn't HDF5: the library says so.
  init(of path: String) throws(StructureDamage) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.systemError() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.systemError() }
    fileSize = Int(status.st_size)
    guard let base = try findSignature() else { return }
    self.base = base
    isPlain = base == 0
    for object in try superblock() { try checkObject(object) }
    // Only what lies in the root is ever opened.
    let children = children
    for child in children { try checkObject(child) }
  }

  private static func systemError() -> StructureDamage {
    StructureDamage(reason: String(cString: strerror(errno)), isInputOutput: true)
  }

  // MARK: Reading

  private func bytes(at place: Int, _ count: Int) throws(StructureDamage) -> [UInt8] {
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
  private func fields(
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
  private mutating func isNew(_ address: UInt64) -> Bool { visited.insert(address).inserted }

  // MARK: Superblock

  /// At the beginning, or behind a user block of 512 bytes or a doubled multiple of them.
  private func findSignature() throws(StructureDamage) -> Int? {
    var place = 0
    while place < fileSize {
      if try bytes(at: place, 8) == Self.signature { return place }
      place = place == 0 ? 512 : place * 2
    }
    return nil
  }

  /// The headers to begin with.
  private mutating func superblock() throws(StructureDamage) -> [UInt64] {
    var fields = FieldReader(try bytes(at: base, 112), origin: base)
    try fields.skip(8)
    let version = try fields.integer(1)
    guard version < 4 else { throw StructureDamage(reason: "its format is of version \(version)") }
    if version < 2 { try fields.skip(4) }
    let widths = (try fields.integer(1), try fields.integer(1))
    guard widths == (8, 8) else {
      throw StructureDamage(
        reason: "its addresses and lengths have \(widths.0) and \(widths.1) bytes, not 8")
    }
    try fields.skip(1)
    if version < 2 {
      leafRank = try fields.integer(2)
      internalRank = try fields.integer(2)
      try fields.skip(4)
      if version == 1 {
        chunkRank = try fields.integer(2)
        try fields.skip(2)
      }
      guard leafRank > 0, internalRank > 0, chunkRank > 0 else {
        throw StructureDamage(reason: "its trees have no room")
      }
      try fields.skip(16)
      try requireWhole(fields.word())
      guard try fields.word() == Self.undefined else {
        throw StructureDamage(reason: "it was made for another file driver")
      }
      try fields.skip(8)
      let root = try fields.word()
      if try fields.integer(4) == 1 {
        try fields.skip(4)
        // What the library takes for the root's tree and heap, whatever the root itself says.
        try group(tree: fields.word(), heap: fields.word())
      }
      return [root]
    }
    try fields.skip(8)
    let more = try fields.word()
    try requireWhole(fields.word())
    let root = try fields.word()
    return more == Self.undefined ? [root] : [more, root]
  }

  private func requireWhole(_ end: UInt64) throws(StructureDamage) {
    guard end <= UInt64(fileSize) else {
      throw StructureDamage(
        reason: "truncated file: it has \(fileSize) bytes, but says it has \(end)")
    }
  }

  // MARK: Objects

  /// Checks an object's header and what belongs to it.
  private mutating func checkObject(_ address: UInt64) throws(StructureDamage) {
    guard isNew(address) else { return }
    let messages = try header(address)
    children += messages.objects
    try check(messages, of: address)
  }

  private mutating func header(_ address: UInt64) throws(StructureDamage) -> ObjectMessages {
    var messages = ObjectMessages()
    var start = try fields(at: address, 16, "an object")
    var hasOrder = false
    let isNewKind: Bool
    do throws(StructureDamage) {
      var copy = start
      try copy.expect("OHDR")
      isNewKind = true
    } catch { isNewKind = false }
    let what = "the object"
    if isNewKind {
      try start.skip(5)
      let flags = try start.integer(1)
      hasOrder = flags & 4 != 0
      let before = 6 + (flags & 0x20 != 0 ? 16 : 0) + (flags & 0x10 != 0 ? 4 : 0)
      let width = 1 << (flags & 3)
      var head = try fields(at: address, UInt64(before + width), what)
      try head.skip(before)
      let size = try head.number(width)
      try fields(at: address + UInt64(before + width), size, what)
        .readMessages(&messages, newKind: true, hasOrder: hasOrder, at: address)
    } else {
      let version = try start.integer(1)
      try start.skip(7)
      let size = try start.number(4)
      guard version == 1 else {
        throw StructureDamage(reason: "there is no object at byte \(address)")
      }
      try fields(at: address + 16, size, what)
        .readMessages(&messages, newKind: false, hasOrder: false, at: address)
    }
    var next = 0
    while next < messages.continuations.count {
      let (place, size) = messages.continuations[next]
      next += 1
      guard isNew(place) else {
        throw StructureDamage(reason: "the object at byte \(address) goes on in another")
      }
      var part = try fields(at: place, size, what)
      if isNewKind {
        try part.expect("OCHK")
        guard part.left >= 4 else {
          throw StructureDamage(reason: "the object at byte \(address) goes on too shortly")
        }
        part = try part.part(part.left - 4)
      }
      try part.readMessages(&messages, newKind: isNewKind, hasOrder: hasOrder, at: address)
    }
    return messages
  }

  private mutating func check(
    _ messages: ObjectMessages, of address: UInt64
  ) throws(StructureDamage) {
    var type = messages.type
    for place in messages.committedTypes {
      let other = try header(place)
      guard let stored = other.type, other.committedTypes.isEmpty else {
        throw StructureDamage(reason: "the object at byte \(address) shares a type of no object")
      }
      type = stored
    }
    for heap in messages.nameHeaps { _ = try nameHeap(heap) }
    for part in messages.references { try checkReferences(at: part.position, count: part.count) }
    for group in messages.groups { try self.group(tree: group.tree, heap: group.heap) }
    guard let layout = messages.layout else { return }
    let what = "the dataset"
    guard let sizes = messages.sizes, let type else {
      throw StructureDamage(reason: "\(what) at byte \(address) has no type or no dataspace")
    }
    switch layout {
    case .compact(let bytes):
      guard product(sizes + [UInt64(type.bytes)]) == UInt64(bytes) else {
        throw StructureDamage(reason: "\(what) at byte \(address) has \(bytes) bytes of its own")
      }
    case .contiguous(let start, let bytes):
      guard start == Self.undefined || start <= UInt64(fileSize - base),
        start == Self.undefined || bytes <= UInt64(fileSize - base) - start
      else { throw StructureDamage(reason: "\(what) at byte \(address) lies outside the file") }
    case .chunked(let tree, let chunk):
      guard chunk.count == sizes.count + 1, chunk.last == UInt64(type.bytes), !sizes.isEmpty,
        let bytes = product(chunk), (1...UInt64(UInt32.max)).contains(bytes)
      else {
        throw StructureDamage(
          reason: "\(what) at byte \(address) has chunks of another shape or type")
      }
      if tree != Self.undefined {
        try chunks(tree, dataset: Dataset(chunk: chunk, bytes: bytes, type: type, messages.filters))
      }
    case .other: break
    }
  }

  // MARK: Groups

  /// Walks through a group of the old kind.
  private mutating func group(tree: UInt64, heap: UInt64) throws(StructureDamage) {
    if let known = groups[tree] {
      guard known == heap else {
        throw StructureDamage(reason: "the tree at byte \(tree) has two heaps of names")
      }
      return
    }
    groups[tree] = heap
    try groupTree(tree, level: nil, names: nameHeap(heap))
  }

  /// The bytes of a heap of names.
  private func nameHeap(_ address: UInt64) throws(StructureDamage) -> [UInt8] {
    var fields = try fields(at: address, 32, "a heap of names")
    try fields.expect("HEAP")
    guard try fields.integer(1) == 0 else {
      throw StructureDamage(reason: "a heap of names is of an unknown version")
    }
    try fields.skip(3)
    let size = try fields.word()
    var free = try fields.word()
    let place = try fields.word()
    let what = "the heap of names"
    let data = try self.fields(at: place, size, what).remainder
    // Free blocks form a list, which 1 ends.
    var seen = 0
    while free != 1 {
      guard free <= size, size - free >= 16, seen <= data.count / 16 else {
        throw StructureDamage(reason: "\(what) at byte \(address) has free space outside of it")
      }
      var block = FieldReader(Array(data[Int(free)..<Int(free) + 16]), origin: 0)
      let next = try block.word()
      let room = try block.word()
      guard room >= 16, room <= size - free else {
        throw StructureDamage(reason: "\(what) at byte \(address) has free space outside of it")
      }
      free = next
      seen += 1
    }
    return data
  }

  private mutating func groupTree(
    _ address: UInt64, level: Int?, names: [UInt8]
  ) throws(StructureDamage) {
    let size = 24 + UInt64(2 * internalRank) * 16 + 8
    var node = try fields(at: address, size, "the tree of a group")
    let (below, count) = try treeHead(&node, kind: 0, level: level, rank: internalRank, address)
    for _ in 0..<count {
      try requireName(node.word(), names)
      let child = try node.word()
      guard isNew(child) else {
        throw StructureDamage(reason: "a tree leads to byte \(child) twice")
      }
      if below > 0 {
        try groupTree(child, level: below - 1, names: names)
      } else {
        try symbols(child, names: names)
      }
    }
    if count > 0 { try requireName(node.word(), names) }
  }

  private func requireName(_ offset: UInt64, _ names: [UInt8]) throws(StructureDamage) {
    guard offset < UInt64(names.count), names[Int(offset)...].contains(0) else {
      throw StructureDamage(reason: "a name lies outside its heap")
    }
  }

  /// The level and the entries of a node of a tree.
  private func treeHead(
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

  private mutating func symbols(
    _ address: UInt64, names: [UInt8]
  ) throws(StructureDamage) {
    var node = try fields(at: address, 8 + UInt64(2 * leafRank) * 40, "a group's list of names")
    try node.expect("SNOD")
    let version = try node.integer(1)
    try node.skip(1)
    let count = try node.integer(2)
    guard version == 1, count <= 2 * leafRank else {
      throw StructureDamage(reason: "the group's list of names at byte \(address) is damaged")
    }
    for _ in 0..<count {
      try requireName(node.word(), names)
      let object = try node.word()
      let cached = try node.integer(4)
      try node.skip(4)
      var scratch = try node.part(16)
      switch cached {
      case 0: children.append(object)
      case 1:
        children.append(object)
        try group(tree: scratch.word(), heap: scratch.word())
      case 2: try requireName(scratch.number(4), names)
      default:
        throw StructureDamage(reason: "the group's list of names at byte \(address) is damaged")
      }
    }
  }

  // MARK: Chunks

  private struct Dataset {
    /// Elements along each axis, then the bytes of an element.
    var chunk: [UInt64]
    /// Bytes of a chunk.
    var bytes: UInt64
    var type: ElementType
    var filters: [Int]

    init(chunk: [UInt64], bytes: UInt64, type: ElementType, _ filters: [Int]) {
      self.chunk = chunk
      self.bytes = bytes
      self.type = type
      self.filters = filters
    }

    /// Bytes that a chunk must take in the file, where that is known before it is decoded.
    /// - Parameter mask: a bit for every filter that was left out.
    func storedBytes(mask: UInt64) -> UInt64? {
      var size = bytes
      for (index, filter) in filters.enumerated() where mask >> UInt64(index) & 1 == 0 {
        switch filter {
        case 2: break  // shuffled
        case 3: size += 4  // a checksum behind it
        default: return nil
        }
      }
      return size
    }
  }

  private mutating func chunks(
    _ address: UInt64, level: Int? = nil, dataset: Dataset
  ) throws(StructureDamage) {
    guard isNew(address) else {
      throw StructureDamage(reason: "a tree leads to byte \(address) twice")
    }
    let key = 8 + UInt64(dataset.chunk.count) * 8
    let size = 24 + UInt64(2 * chunkRank) * (key + 8) + key
    var node = try fields(at: address, size, "the tree of a dataset's chunks")
    let (below, count) = try treeHead(&node, kind: 1, level: level, rank: chunkRank, address)
    for _ in 0..<count {
      let bytes = try node.number(4)
      let mask = try node.number(4)
      for axis in dataset.chunk {
        guard try node.word() % axis == 0 else {
          throw StructureDamage(reason: "the tree at byte \(address) has a chunk between others")
        }
      }
      let child = try node.word()
      if below > 0 {
        try chunks(child, level: below - 1, dataset: dataset)
        continue
      }
      guard dataset.storedBytes(mask: mask) ?? bytes == bytes, bytes > 0,
        child <= UInt64(fileSize - base), bytes <= UInt64(fileSize - base) - child
      else {
        throw StructureDamage(reason: "the tree at byte \(address) has a chunk of \(bytes) bytes")
      }
      if dataset.type.isVariableString && dataset.filters.isEmpty {
        try checkReferences(at: base + Int(child), count: Int(dataset.bytes / 16))
      }
    }
  }

  // MARK: Heaps of strings

  /// Checks that references to texts lead to what is there.
  private mutating func checkReferences(at place: Int, count: Int) throws(StructureDamage) {
    var table = try fields(at: UInt64(place - base), UInt64(count * 16), "a list of texts")
    for _ in 0..<count {
      let length = try table.number(4)
      let address = try table.word()
      let index = try table.number(4)
      // The library follows references to empty texts too.
      if address == 0 { continue }
      let heap: [UInt64: UInt64]
      if let known = heaps[address] {
        heap = known
      } else {
        heap = try stringHeap(address)
        heaps[address] = heap
      }
      guard let size = heap[index], length <= size else {
        throw StructureDamage(reason: "a text refers to what is not there")
      }
    }
  }

  /// The size of every text in a heap.
  private func stringHeap(_ address: UInt64) throws(StructureDamage) -> [UInt64: UInt64] {
    let what = "the heap of strings"
    var head = try fields(at: address, 16, what)
    try head.expect("GCOL")
    try head.skip(4)
    let size = try head.word()
    var fields = try fields(at: address, size, what)
    let problem = fields.remainder.withUnsafeBytes {
      GlobalHeapCheck.problem(ofHeapAt: 0, in: $0, room: $0.count)
    }
    if let problem {
      throw StructureDamage(reason: "\(what) at byte \(address) is damaged: \(problem)")
    }
    try fields.skip(16)
    var objects: [UInt64: UInt64] = [:]
    while fields.left >= 16 {
      let index = try fields.number(2)
      try fields.skip(6)
      let size = try fields.word()
      if index == 0 {
        try fields.skip(min(Int(size) - 16, fields.left))
        continue
      }
      objects[index] = size
      try fields.skip(min((Int(size) + 7) / 8 * 8, fields.left))
    }
    return objects
  }
}

extension FieldReader {
  /// Takes all messages of one block of an object's header.
  fileprivate func readMessages(
    _ messages: inout ObjectMessages, newKind: Bool, hasOrder: Bool, at address: UInt64
  ) throws(StructureDamage) {
    var block = self
    let head = newKind ? (hasOrder ? 6 : 4) : 8
    while block.left >= head {
      let kind = try block.integer(newKind ? 1 : 2)
      let size = try block.integer(2)
      let flags = try block.integer(1)
      try block.skip(newKind ? (hasOrder ? 2 : 0) : 3)
      do throws(StructureDamage) {
        try messages.read(type: kind, flags: flags, block.part(size))
      } catch {
        throw StructureDamage(
          reason: "the object at byte \(address) is damaged: in its message of type \(kind), "
            + error.reason)
      }
    }
  }
}
