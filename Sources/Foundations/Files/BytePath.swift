import Foundation

/// A file's path as the bytes the system keeps. Linux allows any byte but `/` and 0 in a name, and a
/// `String` would silently replace those that aren't UTF-8, so that the file is never found again.
public struct BytePath: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var bytes: [UInt8]

  public init(bytes: [UInt8]) { self.bytes = bytes }
  public init(_ path: String) { bytes = Array(path.utf8) }

  public static func < (left: BytePath, right: BytePath) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }

  public func appending(_ component: [UInt8]) -> BytePath {
    if bytes.isEmpty { return BytePath(bytes: component) }
    return BytePath(
      bytes: bytes.last == UInt8(ascii: "/") ? bytes + component : bytes + [47] + component)
  }

  /// The path's components, without empty ones.
  public var components: [[UInt8]] { bytes.split(separator: 47).map(Array.init) }

  /// Printable and unambiguous: what is not UTF-8, control characters and backslashes are written as
  /// `\xNN`.
  public var description: String { BytePath.printable(bytes) }

  /// `bytes` as text in which control characters, backslashes and whatever is not UTF-8 are `\xNN`.
  public static func printable(_ bytes: [UInt8]) -> String {
    func escape(_ byte: UInt8) -> String {
      let digits = String(byte, radix: 16, uppercase: true)
      return "\\x" + (digits.count < 2 ? "0" + digits : digits)
    }
    var text = ""
    var rest = bytes[...]
    while let first = rest.first {
      let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
      let head = rest.prefix(length)
      if let character = String(validating: head, as: UTF8.self),
        let scalar = character.unicodeScalars.first, character.unicodeScalars.count == 1
      {
        if scalar.properties.generalCategory == .control || scalar == "\\" {
          text += head.map(escape).joined()
        } else {
          text += character
        }
        rest = rest.dropFirst(length)
      } else {
        text += escape(first)
        rest = rest.dropFirst()
      }
    }
    return text
  }

  /// Calls `body` with the path as a C string.
  public func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows
    -> Result
  {
    try (bytes + [0]).withUnsafeBytes { raw in
      try body(raw.baseAddress!.assumingMemoryBound(to: CChar.self))
    }
  }
}
