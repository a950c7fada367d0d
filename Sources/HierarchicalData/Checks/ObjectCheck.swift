/// Objects: headers of groups, datasets and types, and what their messages say together.
///
/// Source: HDF5 File Format Specification, section IV "Disk Format: Level 2 - Data Objects".
extension StructureCheck {
  /// Checks an object's header and what belongs to it.
  mutating func checkObject(_ address: UInt64) throws(StructureDamage) {
    guard isNew(address) else { return }
    let messages = try header(address)
    children += messages.objects
    if messages.hasSoftLinks { hasSoftLinks = true }
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
      // Without external files, in which the data would lie.
      if start != Self.undefined, messages.nameHeaps.isEmpty,
        let rows = RowCollection(
          sizes: sizes, chunk: nil, elementSize: Int(type.bytes), filters: messages.filters),
        let size = product(sizes), size <= UInt64(fileSize - base) - start
      {
        rowsByObject[address] = rows.rows(count: sizes[0], from: UInt64(base) + start)
      }
    case .chunked(let tree, let chunk):
      guard chunk.count == sizes.count + 1, chunk.last == UInt64(type.bytes), !sizes.isEmpty,
        let bytes = product(chunk), (1...UInt64(UInt32.max)).contains(bytes)
      else {
        throw StructureDamage(
          reason: "\(what) at byte \(address) has chunks of another shape or type")
      }
      guard tree != Self.undefined else { break }
      collected = RowCollection(
        sizes: sizes, chunk: chunk, elementSize: Int(type.bytes), filters: messages.filters)
      try chunks(tree, dataset: Dataset(chunk: chunk, bytes: bytes, type: type, messages.filters))
      rowsByObject[address] = collected?.rows(count: sizes[0])
      collected = nil
    case .other: break
    }
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
