/// A JSON value whose objects keep the order of their members, so that the same value is always
/// written with the same bytes.
public enum JSON: Sendable, Equatable {
  case null
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case array([JSON])
  case object([Member])

  /// A name and its value.
  public struct Member: Sendable, Equatable {
    public var name: String
    public var value: JSON

    public init(_ name: String, _ value: JSON) {
      self.name = name
      self.value = value
    }
  }

  /// A number that JSON can't express, and the path to it.
  public struct NotFinite: ReportableError, Equatable {
    public let path: String
    public let number: String

    public var description: String { "\(path.isEmpty ? "value" : path) is \(number), not a number" }
    public var exitStatus: ExitStatus { .internalError }
  }

  /// `value` with the digits that a Float has, not those of its conversion to Double.
  public static func number(_ value: Float) -> JSON { .number(Double("\(value)") ?? Double(value)) }

  /// The number, or null where there is none.
  public static func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }

  /// The member of that name of an object. Names are the same if their bytes are: an é of one
  /// character and one of two are different members.
  public subscript(name: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
  }

  public var integerValue: Int? {
    guard case .integer(let value) = self else { return nil }
    return value
  }

  /// The number, also where it is written without a point.
  public var doubleValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var textValue: String? {
    guard case .text(let value) = self else { return nil }
    return value
  }

  public var booleanValue: Bool? {
    guard case .boolean(let value) = self else { return nil }
    return value
  }

  public var arrayValue: [JSON]? {
    guard case .array(let values) = self else { return nil }
    return values
  }

  public var members: [Member]? {
    guard case .object(let members) = self else { return nil }
    return members
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}

// MARK: - Writing

extension JSON {
  /// The value on one line, without spaces.
  /// - Throws: ``NotFinite``.
  public func line() throws -> String {
    var text = ""
    try write(into: &text, indent: nil, path: "")
    return text
  }

  /// The value with one member a line, for people.
  /// - Throws: ``NotFinite``.
  public func page() throws -> String {
    var text = ""
    try write(into: &text, indent: 0, path: "")
    return text + "\n"
  }

  private func write(into text: inout String, indent: Int?, path: String) throws {
    switch self {
    case .null: text += "null"
    case .boolean(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value):
      guard value.isFinite else { throw NotFinite(path: path, number: "\(value)") }
      text += "\(value)"
    case .text(let value): Self.quote(value, into: &text)
    case .array(let values):
      // Lists of plain values stay on their line.
      let isPlain = values.allSatisfy { $0.members == nil && $0.arrayValue == nil }
      try list(values.count, "[", "]", into: &text, indent: isPlain ? nil : indent) {
        try values[$0].write(into: &$1, indent: $2, path: "\(path)[\($0)]")
      }
    case .object(let members):
      try list(members.count, "{", "}", into: &text, indent: indent) {
        Self.quote(members[$0].name, into: &$1)
        $1 += indent == nil ? ":" : ": "
        let inner = path.isEmpty ? members[$0].name : "\(path).\(members[$0].name)"
        try members[$0].value.write(into: &$1, indent: $2, path: inner)
      }
    }
  }

  private func list(
    _ count: Int, _ open: String, _ close: String, into text: inout String, indent: Int?,
    item: (Int, inout String, Int?) throws -> Void
  ) throws {
    text += open
    for index in 0..<count {
      if index > 0 { text += "," }
      if let indent { text += "\n" + String(repeating: "  ", count: indent + 1) }
      try item(index, &text, indent.map { $0 + 1 })
    }
    if let indent, count > 0 { text += "\n" + String(repeating: "  ", count: indent) }
    text += close
  }

  private static func quote(_ value: String, into text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      // The value stays what it is, and the line may be shown on a terminal.
      case let other where other.disturbsTerminals:
        for unit in UTF16.encode(other)! {
          let digits = String(unit, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

// MARK: - Reading

extension JSON {
  /// A text that is not JSON, and where.
  public struct Malformed: ReportableError, Equatable {
    public let offset: Int
    public let expected: String

    public var description: String { "is not JSON: \(expected) expected at byte \(offset)" }
    public var exitStatus: ExitStatus { .badData }
  }

  /// Reads one value, which must be all of the text. A name used twice in an object, a number
  /// beyond the range of Double and deep nesting are refused.
  /// - Throws: ``Malformed``.
  public init(parsing text: some Collection<UInt8>) throws {
    let bytes = Array(text)
    self = try bytes.withUnsafeBufferPointer { bytes in
      var cursor = JSONCursor(bytes)
      do {
        let value = try cursor.value(depth: 0)
        guard cursor.isAtEnd() else { throw cursor.unexpected("the end") }
        return value
      } catch let problem as JSONCursor.Problem {
        throw Malformed(offset: problem.offset, expected: problem.expected ?? problem.text)
      }
    }
  }
}

extension JSONCursor {
  fileprivate mutating func value(depth: Int) throws -> JSON {
    guard depth < Self.maximumDepth else { throw unexpected("less nesting") }
    skipSpace()
    guard position < bytes.count else { throw unexpected("a value") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["):
      position += 1
      var values: [JSON] = []
      if take(UInt8(ascii: "]")) { return .array(values) }
      repeat { values.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"))
      return .array(values)
    case UInt8(ascii: "\""): return .text(try string())
    case UInt8(ascii: "t") where take(word: "true"): return .boolean(true)
    case UInt8(ascii: "f") where take(word: "false"): return .boolean(false)
    case UInt8(ascii: "n") where take(word: "null"): return .null
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws -> JSON {
    position += 1
    var members: [JSON.Member] = []
    // By bytes: strings that look the same may be different names.
    var names: Set<[UInt8]> = []
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipSpace()
      let start = position
      let name = try string()
      guard names.insert(Array(name.utf8)).inserted else {
        throw Problem("a name that was not used before", at: start)
      }
      try expect(UInt8(ascii: ":"))
      members.append(JSON.Member(name, try value(depth: depth + 1)))
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
    return .object(members)
  }

  private mutating func digits() throws {
    let start = position
    while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
      position += 1
    }
    guard position > start else { throw unexpected("a value") }
  }

  private mutating func number() throws -> JSON {
    let start = position
    func next(_ byte: UInt8) -> Bool { position < bytes.count && bytes[position] == byte }
    if next(UInt8(ascii: "-")) { position += 1 }
    if next(UInt8(ascii: "0")) { position += 1 } else { try digits() }
    var isWhole = true
    if next(UInt8(ascii: ".")) {
      isWhole = false
      position += 1
      try digits()
    }
    if next(UInt8(ascii: "e")) || next(UInt8(ascii: "E")) {
      isWhole = false
      position += 1
      if next(UInt8(ascii: "+")) || next(UInt8(ascii: "-")) { position += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isWhole, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw Problem("a number in the range of a double", at: start)
    }
    return .number(value)
  }
}
