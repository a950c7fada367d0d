/// Trees of the chunks of a dataset.
///
/// Source: HDF5 File Format Specification, section III.A "Disk Format: Level 1A - Version 1 B-trees".
extension StructureCheck {
  /// What the tree of a dataset's chunks must fit to.
  struct Dataset {
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

  mutating func chunks(
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
      var row: UInt64?
      for axis in dataset.chunk {
        let start = try node.word()
        guard start % axis == 0 else {
          throw StructureDamage(reason: "the tree at byte \(address) has a chunk between others")
        }
        row = row ?? start
      }
      let child = try node.word()
      if below > 0 {
        try chunks(child, level: below - 1, dataset: dataset)
        continue
      }
      guard dataset.storedBytes(mask: mask) ?? bytes == bytes,
        bytes > (dataset.filters.contains(3) ? 4 : 0),
        child <= UInt64(fileSize - base), bytes <= UInt64(fileSize - base) - child
      else {
        throw StructureDamage(reason: "the tree at byte \(address) has a chunk of \(bytes) bytes")
      }
      collected?.add(
        row: row ?? 0, address: UInt64(base) + child, bytes: bytes, mask: mask)
      if dataset.type.isVariableString && dataset.filters.isEmpty {
        try checkReferences(at: base + Int(child), count: Int(dataset.bytes / 16))
      }
    }
  }
}
