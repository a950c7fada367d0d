/// Groups of the old kind: a tree of lists of names, which lie in a heap.
///
/// Source: HDF5 File Format Specification, sections III.A to III.D of "Disk Format: Level 1".
extension StructureCheck {
  /// Walks through a group of the old kind.
  mutating func group(tree: UInt64, heap: UInt64) throws(StructureDamage) {
    if let known = groups[tree] {
      guard known == heap else {
        throw StructureDamage(reason: "the tree at byte \(tree) has two heaps of names")
      }
      return
    }
    groups[tree] = heap
    depth += 1
    try groupTree(tree, level: nil, names: nameHeap(heap))
    depth -= 1
  }

  /// The bytes of a heap of names.
  func nameHeap(_ address: UInt64) throws(StructureDamage) -> [UInt8] {
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
      let offset = try node.word()
      try requireName(offset, names)
      let object = try node.word()
      let cached = try node.integer(4)
      try node.skip(4)
      var scratch = try node.part(16)
      switch cached {
      case 0:
        children.append(object)
        if depth == 1 && !isBelowRoot {
          let name = names[Int(offset)...].prefix { $0 != 0 }
          rootObjects[String(decoding: name, as: UTF8.self)] = object
        }
      case 1:
        children.append(object)
        try group(tree: scratch.word(), heap: scratch.word())
      case 2:
        hasSoftLinks = true
        try requireName(scratch.number(4), names)
      default:
        throw StructureDamage(reason: "the group's list of names at byte \(address) is damaged")
      }
    }
  }
}
