import Foundations

/// Parses the header of a safetensors file: JSON of one fixed form,
///
///     {"__metadata__": {text: text, …}, name: {"dtype": text, "shape": [n, …],
///      "data_offsets": [begin, end]}, …}
///
/// Nothing else is accepted, so depth, memory and time are bounded by the header's length. Names
/// used twice, which general JSON readers let pass, are refused.
struct SafetensorsHeaderParser {
  struct Problem: Error {
    var tensor: String?
    var text: String
  }

  /// A tensor has at most this many extents.
  static let maximumRank = 16

  private let bytes: UnsafeBufferPointer<UInt8>
  private var cursor: JSONCursor
  /// The tensor being read, for messages.
  private var current: String?
  /// What is being read where it is no tensor, for messages.
  private var place = Self.wholeHeader
  private static let wholeHeader = "has a header that"

  init(bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    cursor = JSONCursor(bytes)
  }

  mutating func parse() throws -> (entries: [SafetensorsFile.Entry], metadata: [String: String]) {
    do {
      return try parseAll()
    } catch let error as JSONCursor.Problem {
      throw problem(error.text)
    }
  }

  private mutating func parseAll() throws -> (
    entries: [SafetensorsFile.Entry], metadata: [String: String]
  ) {
    var entries: [SafetensorsFile.Entry] = []
    var metadata: [String: String] = [:]
    var names: Set<String> = []
    // The format demands that the brace is the very first byte.
    guard bytes.first == UInt8(ascii: "{") else { throw problem("does not begin with '{'") }
    try members { parser, name in
      guard names.insert(name).inserted else {
        parser.current = name
        throw parser.problem("appears twice")
      }
      if name == "__metadata__" {
        // The reference reader takes null for no texts.
        if parser.cursor.takeNull() { return }
        parser.place = "has a __metadata__ that"
        try parser.members { parser, key in
          parser.place = "has a text '\(printable(key))' in its __metadata__ that"
          guard metadata.updateValue(try parser.cursor.string(), forKey: key) == nil else {
            throw parser.problem("is there twice")
          }
          parser.place = "has a __metadata__ that"
        }
        parser.place = Self.wholeHeader
      } else {
        parser.current = name
        entries.append(try parser.entry(name))
        parser.current = nil
      }
    }
    guard cursor.isAtEnd() else { throw problem("goes on after the closing brace") }
    return (entries, metadata)
  }

  private mutating func entry(_ name: String) throws -> SafetensorsFile.Entry {
    var type: SafetensorsFile.ElementType?
    var shape: [Int]?
    var offsets: [Int]?
    try members { parser, key in
      switch key {
      case "dtype":
        guard type == nil else { throw parser.problem("has two types") }
        let text = try parser.cursor.string()
        guard let known = SafetensorsFile.ElementType(rawValue: text) else {
          throw parser.problem("has the type '\(printable(text))', which is not known here")
        }
        type = known
      case "shape":
        guard shape == nil else { throw parser.problem("has two shapes") }
        shape = try parser.integers(limit: Self.maximumRank)
      case "data_offsets":
        guard offsets == nil else { throw parser.problem("has two places in the file") }
        offsets = try parser.integers(limit: 2)
      default:
        throw parser.problem("has a property '\(printable(key))', which the format does not know")
      }
    }
    guard let type else { throw problem("has no dtype") }
    guard let shape else { throw problem("has no shape") }
    guard let offsets, offsets.count == 2 else { throw problem("has no pair of data_offsets") }
    guard offsets[0] <= offsets[1] else { throw problem("ends before it begins") }
    var expected = type.size
    for extent in shape {
      let (product, overflow) = expected.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw problem("has a shape too large to be true") }
      expected = product
    }
    guard offsets[1] - offsets[0] == expected else {
      throw problem(
        "has the shape \(shape) of \(type.rawValue), which takes \(expected) bytes, but "
          + "\(offsets[1] - offsets[0]) are set aside for it")
    }
    return SafetensorsFile.Entry(
      name: name, type: type, shape: shape, bytes: offsets[0]..<offsets[1])
  }

  private func problem(_ text: String) -> Problem {
    Problem(tensor: current, text: current == nil ? "\(place) \(text)" : text)
  }

  /// An object; `member` reads the value that follows each key.
  private mutating func members(
    _ member: (inout SafetensorsHeaderParser, String) throws -> Void
  ) throws {
    try cursor.expect(UInt8(ascii: "{"))
    if cursor.take(UInt8(ascii: "}")) { return }
    repeat {
      let key = try cursor.string()
      try cursor.expect(UInt8(ascii: ":"))
      try member(&self, key)
    } while cursor.take(UInt8(ascii: ","))
    try cursor.expect(UInt8(ascii: "}"))
  }

  /// A list of at most `limit` integers that are not negative.
  private mutating func integers(limit: Int) throws -> [Int] {
    try cursor.expect(UInt8(ascii: "["))
    if cursor.take(UInt8(ascii: "]")) { return [] }
    var list: [Int] = []
    repeat {
      guard list.count < limit else { throw problem("has a list of more than \(limit) numbers") }
      list.append(try cursor.integer())
    } while cursor.take(UInt8(ascii: ","))
    try cursor.expect(UInt8(ascii: "]"))
    return list
  }
}
