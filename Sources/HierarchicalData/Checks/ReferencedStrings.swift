/// Variable-length strings as a file keeps them: a table of references, and heaps that these lead to.
///
/// Source: HDF5 File Format Specification, section III.E "Global Heap" and section VIII "Global Heap
/// ID"; a reference is the text's length (4 bytes), the heap's address (8) and the object in it (4).
struct ReferencedStrings {
  /// Why the strings can't be read.
  struct Damage: Error { var reason: String }

  /// Reads up to `count` bytes of the file from `offset`; fewer at its end.
  private let bytes: (_ offset: UInt64, _ count: Int) throws(HDF5Error) -> [UInt8]
  /// Where the file's HDF5 part begins, which addresses of heaps count from.
  private let base: UInt64
  /// Bytes that may still be taken.
  private var budget: Int
  /// Where in `contents` the objects of a heap lie.
  private struct Heap {
    var contents: [UInt8]
    var objects: [UInt32: Range<Int>]
  }
  /// Usual heaps have 4 KiB, whatever little of them is read.
  private static let heapRoom = 1 << 20
  /// The heap used last: strings that were written together lie together.
  private var heaps: [UInt64: Heap] = [:]

  init(
    limit: Int, base: UInt64 = 0,
    bytes: @escaping (UInt64, Int) throws(HDF5Error) -> [UInt8]
  ) {
    self.bytes = bytes
    self.base = base
    budget = limit
  }

  private func read(_ offset: UInt64, _ count: Int) throws(Damage) -> [UInt8] {
    do throws(HDF5Error) { return try bytes(offset, count) } catch {
      throw Damage(reason: error.reason)
    }
  }

  private static func number(_ bytes: [UInt8], at offset: Int, bytes count: Int) -> UInt64 {
    (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
  }

  private mutating func take(_ count: Int) throws(Damage) {
    guard count <= budget else { throw Damage(reason: "its strings take more memory than allowed") }
    budget -= count
  }

  /// The `count` strings whose references begin at byte `offset` of the file.
  mutating func read(references offset: UInt64, count: Int) throws(Damage) -> [String] {
    let (size, overflow) = count.multipliedReportingOverflow(by: 16)
    guard !overflow, offset < 1 << 62 else { throw Damage(reason: "it has an impossible place") }
    try take(size)
    let table = try read(offset, size)
    guard table.count == size else { throw Damage(reason: "the file ends within it") }
    var strings: [String] = []
    for row in 0..<count {
      let length = Int(Self.number(table, at: row * 16, bytes: 4))
      let address = Self.number(table, at: row * 16 + 4, bytes: 8)
      let index = UInt32(Self.number(table, at: row * 16 + 12, bytes: 4))
      if length == 0 {
        strings.append("")
        continue
      }
      let heap: Heap
      if let known = heaps[address] {
        heap = known
      } else {
        heap = try load(address)
        heaps = [address: heap]
      }
      guard let object = heap.objects[index], length <= object.count else {
        throw Damage(reason: "string \(row) refers to what is not there")
      }
      try take(length)
      // Writers may count a NUL at the end as part of the text.
      let text = heap.contents[object].prefix(length).prefix { $0 != 0 }
      strings.append(String(decoding: text, as: UTF8.self))
    }
    return strings
  }

  private mutating func load(_ address: UInt64) throws(Damage) -> Heap {
    guard address < 1 << 62 else { throw Damage(reason: "a string refers to what is not there") }
    let header = try read(base + address, 16)
    guard header.count == 16, header.starts(with: [0x47, 0x43, 0x4F, 0x4C, 1]) else {
      throw Damage(reason: "there is no heap of strings at byte \(address)")
    }
    let size = Self.number(header, at: 8, bytes: 8)
    guard size >= 16, size <= UInt64(max(budget, Self.heapRoom)) else {
      throw Damage(reason: "the heap of strings at byte \(address) has an impossible size")
    }
    let contents = try read(base + address, Int(size))
    guard contents.count == Int(size) else {
      throw Damage(reason: "the file ends within the heap of strings at byte \(address)")
    }
    var objects: [UInt32: Range<Int>] = [:]
    var offset = 16
    while offset + 16 <= contents.count {
      let index = UInt32(Self.number(contents, at: offset, bytes: 2))
      if index == 0 { break }
      let length = Self.number(contents, at: offset + 8, bytes: 8)
      guard length <= UInt64(contents.count - offset - 16) else {
        throw Damage(reason: "the heap of strings at byte \(address) is damaged")
      }
      objects[index] = offset + 16..<offset + 16 + Int(length)
      offset += 16 + (Int(length) + 7) / 8 * 8
    }
    return Heap(contents: contents, objects: objects)
  }
}
