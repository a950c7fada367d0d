/// Reads JSON of a known form from its beginning to its end, without making values of what nobody
/// asks for: depth, memory and time are bounded by the text's length.
package struct JSONCursor {
  package struct Problem: Error {
    /// What is wrong, to be put behind the name of the file or of the part of it.
    package var text: String
    /// What would be right at ``offset``, where there is such a thing.
    package var expected: String?
    package var offset = 0

    package init(text: String) { self.text = text }

    init(_ expected: String, at offset: Int, text: String? = nil) {
      self.text =
        text ?? "is not as the format demands: \(expected) expected at byte \(offset)"
      self.expected = expected
      self.offset = offset
    }
  }

  let bytes: UnsafeBufferPointer<UInt8>
  var position = 0

  package init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// Whether the rest is spaces.
  package mutating func isAtEnd() -> Bool {
    skipSpace()
    return position == bytes.count
  }

  func unexpected(_ wanted: String) -> Problem { Problem(wanted, at: position) }

  mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        position += 1
      default: return
      }
    }
  }

  /// Takes `byte` if it comes next, after any white space.
  package mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  package mutating func expect(_ byte: UInt8) throws {
    guard take(byte) else { throw unexpected("'\(Character(Unicode.Scalar(byte)))'") }
  }

  /// Takes `null` if it comes next.
  package mutating func takeNull() -> Bool {
    skipSpace()
    return take(word: "null")
  }

  /// Takes a word if it stands here.
  mutating func take(word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    guard position + length <= bytes.count,
      (0..<length).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
    else { return false }
    position += length
    return true
  }

  package mutating func string() throws -> String {
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
      case .brokenPair:
        throw Problem(
          "a whole surrogate pair", at: position, text: "holds a text with half a surrogate pair")
      case .notUTF8: throw Problem("UTF-8", at: position, text: "holds a text that is not UTF-8")
      }
    }
  }

  package mutating func integer() throws -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.count, case let digit = bytes[position],
      digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9")
    {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
      guard !overflow, !carry else { throw Problem(text: "has a number too large to be true") }
      value = sum
      position += 1
    }
    guard position > start else { throw unexpected("a whole number that is not negative") }
    return value
  }

  /// What is nested deeper is refused.
  static let maximumDepth = 64

  /// Passes over a value of any kind.
  package mutating func skipValue(depth: Int = 0) throws {
    guard depth < Self.maximumDepth else { throw Problem(text: "is nested too deeply") }
    skipSpace()
    guard position < bytes.count else { throw unexpected("a value") }
    switch bytes[position] {
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "{"):
      position += 1
      if take(UInt8(ascii: "}")) { return }
      repeat {
        _ = try string()
        try expect(UInt8(ascii: ":"))
        try skipValue(depth: depth + 1)
      } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "}"))
    case UInt8(ascii: "["):
      position += 1
      if take(UInt8(ascii: "]")) { return }
      repeat { try skipValue(depth: depth + 1) } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"))
    default:
      // A number, or one of three words.
      let start = position
      while position < bytes.count, Self.isPartOfWord(bytes[position]) { position += 1 }
      guard position > start else { throw unexpected("a value") }
    }
  }

  private static func isPartOfWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
