/// Heaps of strings, and the references into them.
///
/// Source: HDF5 File Format Specification, section III.E "Disk Format: Level 1E - Global Heap".
extension StructureCheck {
  /// Checks that references to texts lead to what is there.
  mutating func checkReferences(at place: Int, count: Int) throws(StructureDamage) {
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
