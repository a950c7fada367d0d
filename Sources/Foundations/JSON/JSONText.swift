/// A text within JSON as others write it: the one place that reads its escapes.
public enum JSONText {
  /// Why what stands there is not a text.
  public enum Problem: Error, Equatable {
    /// It does not end.
    case unended
    /// A control character stands in it as it is.
    case controlCharacter
    /// A backslash with something behind it that makes no character.
    case unknownEscape
    /// `\u` without four hexadecimal digits.
    case missingDigit
    /// The first half of a surrogate pair without `\u` behind it.
    case missingSurrogate
    /// A half of a surrogate pair that has no other half.
    case brokenPair
    case notUTF8
  }

  /// Reads a text.
  ///
  /// - Parameter position: the byte behind the first quotation mark; afterwards that behind the last
  ///   one, or where the problem is.
  public static func read(
    _ bytes: UnsafeBufferPointer<UInt8>, at position: inout Int
  ) throws(Problem) -> String {
    var text: [UInt8] = []
    while true {
      guard position < bytes.count else { throw .unended }
      let byte = bytes[position]
      guard byte >= 0x20 else { throw .controlCharacter }
      position += 1
      if byte == UInt8(ascii: "\"") { break }
      if byte == UInt8(ascii: "\\") {
        text.append(contentsOf: try escaped(bytes, at: &position))
      } else {
        text.append(byte)
      }
    }
    guard let valid = String(validating: text, as: UTF8.self) else { throw .notUTF8 }
    return valid
  }

  /// What stands behind a backslash, in UTF-8.
  private static func escaped(
    _ bytes: UnsafeBufferPointer<UInt8>, at position: inout Int
  ) throws(Problem) -> [UInt8] {
    guard position < bytes.count else { throw .unknownEscape }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "n"): return [0x0a]
    case UInt8(ascii: "r"): return [0x0d]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0c]
    case UInt8(ascii: "u"):
      var units = [try unit(bytes, at: &position)]
      if UTF16.isLeadSurrogate(units[0]) {
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
          bytes[position + 1] == UInt8(ascii: "u")
        else { throw .missingSurrogate }
        position += 2
        units.append(try unit(bytes, at: &position))
      }
      guard let text = String(validating: units, as: UTF16.self) else { throw .brokenPair }
      return Array(text.utf8)
    default: throw .unknownEscape
    }
  }

  /// Four hexadecimal digits: a unit of UTF-16.
  private static func unit(
    _ bytes: UnsafeBufferPointer<UInt8>, at position: inout Int
  ) throws(Problem) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard position < bytes.count,
        let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue
      else { throw .missingDigit }
      value = value << 4 | UInt16(digit)
      position += 1
    }
    return value
  }
}
