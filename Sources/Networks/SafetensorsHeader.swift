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
  private var position = 0
  /// The tensor being read, for messages.
  private var current: String?

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func parse() throws -> (entries: [SafetensorsFile.Entry], metadata: [String: String]) {
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
        try parser.members { parser, key in
          guard metadata.updateValue(try parser.string(), forKey: key) == nil else {
            throw parser.problem("has the metadata '\(printable(key))' twice")
          }
        }
      } else {
        parser.current = name
        entries.append(try parser.entry(name))
        parser.current = nil
      }
    }
    while position < bytes.count, bytes[position] == UInt8(ascii: " ") { position += 1 }
    guard position == bytes.count else { throw problem("goes on after the closing brace") }
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
        let text = try parser.string()
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

  // MARK: JSON

  private func problem(_ text: String) -> Problem {
    Problem(tensor: current, text: current == nil ? "has a header that \(text)" : text)
  }

  private func unexpected(_ wanted: String) -> Problem {
    Problem(
      tensor: current,
      text: "\(current == nil ? "has a header that " : "")"
        + "is not as the format demands: \(wanted) expected at byte \(position) of the header")
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        position += 1
      default: return
      }
    }
  }

  /// Takes `byte` if it comes next, after any white space.
  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws {
    guard take(byte) else { throw unexpected("'\(Character(Unicode.Scalar(byte)))'") }
  }

  /// An object; `member` reads the value that follows each key.
  private mutating func members(
    _ member: (inout SafetensorsHeaderParser, String) throws -> Void
  ) throws {
    try expect(UInt8(ascii: "{"))
    if take(UInt8(ascii: "}")) { return }
    repeat {
      let key = try string()
      try expect(UInt8(ascii: ":"))
      try member(&self, key)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
  }

  /// A list of at most `limit` integers that are not negative.
  private mutating func integers(limit: Int) throws -> [Int] {
    try expect(UInt8(ascii: "["))
    if take(UInt8(ascii: "]")) { return [] }
    var list: [Int] = []
    repeat {
      guard list.count < limit else { throw problem("has a list of more than \(limit) numbers") }
      list.append(try integer())
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"))
    return list
  }

  private mutating func integer() throws -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.count, case let digit = bytes[position],
      digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9")
    {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
      guard !overflow, !carry else { throw problem("has a number too large to be true") }
      value = sum
      position += 1
    }
    guard position > start else { throw unexpected("a whole number that is not negative") }
    return value
  }

  private mutating func string() throws -> String {
    try expect(UInt8(ascii: "\""))
    do throws(JSONText.Problem) {
      return try JSONText.read(bytes, at: &position)
    } catch {
      switch error {
      case .unended: throw unexpected("the end of a text")
      case .controlCharacter: throw unexpected("no control character")
      case .unknownEscape: throw unexpected("an escaped character")
      case .missingDigit: throw unexpected("four hexadecimal digits")
      case .missingSurrogate: throw unexpected("the second half of a surrogate pair")
      case .brokenPair: throw problem("holds a text with half a surrogate pair")
      case .notUTF8: throw problem("holds a text that is not UTF-8")
      }
    }
  }
}
