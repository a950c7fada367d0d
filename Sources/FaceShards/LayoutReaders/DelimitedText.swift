import Foundations

/// A table as text: fields between commas, semicolons or tabs (RFC 4180: quotes around fields that
/// hold any of these, doubled inside), or else between spaces.
struct DelimitedText {
  struct Row: Equatable {
    /// From 1.
    var line: Int
    var fields: [[UInt8]]
  }

  /// Without empty ones and those that begin with `#`.
  private(set) var rows: [Row] = []

  /// Fields of a row, beyond which it is no table.
  static let maximumFields = 256

  /// Throws ``PackError`` that names file and line.
  init(_ bytes: [UInt8], _ path: BytePath) throws {
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw PackError.badData("\(path): is UTF-16 text; save it as UTF-8")
    }
    let delimiter = Self.delimiter(bytes[start...])
    var position = start
    var line = 1
    while position < bytes.count {
      let first = line
      func refuse(_ text: String) -> PackError { .badData("\(path): line \(first): \(text)") }
      var fields: [[UInt8]] = []
      var field: [UInt8] = []
      var wasQuoted = false
      var isAny = false
      func isDelimiter(_ byte: UInt8) -> Bool {
        delimiter.map { byte == $0 } ?? (byte == 32 || byte == 9)
      }
      func finish() throws {
        // Between spaces nothing is empty.
        if delimiter != nil || !field.isEmpty || wasQuoted {
          if delimiter != nil, !wasQuoted { field = Self.trimmed(field) }
          fields.append(field)
          guard fields.count <= Self.maximumFields else {
            throw refuse("has more than \(Self.maximumFields) fields")
          }
        }
        field = []
        wasQuoted = false
      }
      row: while position < bytes.count {
        let byte = bytes[position]
        switch byte {
        case 0:
          throw refuse("holds a zero byte; it is no text")
        case 10, 13:
          position += 1
          if byte == 13, position < bytes.count, bytes[position] == 10 { position += 1 }
          line += 1
          break row
        case UInt8(ascii: "\"") where Self.trimmed(field).isEmpty && !wasQuoted:
          field = []
          wasQuoted = true
          isAny = true
          position += 1
          var isClosed = false
          while position < bytes.count {
            if bytes[position] == UInt8(ascii: "\"") {
              position += 1
              guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                isClosed = true
                break
              }
            }
            if bytes[position] == 10 { line += 1 }
            field.append(bytes[position])
            position += 1
          }
          guard isClosed else { throw refuse("a quote is not closed") }
        case _ where isDelimiter(byte):
          position += 1
          isAny = isAny || delimiter != nil
          try finish()
        default:
          if wasQuoted {
            guard byte == 32 || byte == 9 else {
              throw refuse("there is text behind a closing quote; double quotes inside quotes")
            }
          } else {
            field.append(byte)
            isAny = isAny || byte != 32 && byte != 9
          }
          position += 1
        }
      }
      guard isAny else { continue }
      try finish()
      if fields.isEmpty || fields[0].first == UInt8(ascii: "#") { continue }
      rows.append(Row(line: first, fields: fields))
    }
  }

  /// What the first line with text is cut by: the first of tab, comma and semicolon in it; nil for
  /// spaces.
  private static func delimiter(_ bytes: ArraySlice<UInt8>) -> UInt8? {
    for line in bytes.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
      let text = trimmed(Array(line))
      if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
      var isQuoted = false
      var seen = Set<UInt8>()
      for byte in text {
        if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
        if !isQuoted { seen.insert(byte) }
      }
      return [9, UInt8(ascii: ","), UInt8(ascii: ";")].first { seen.contains($0) }
    }
    return nil
  }

  private static func trimmed(_ field: [UInt8]) -> [UInt8] {
    func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }
    var slice = field[...]
    while let last = slice.last, isSpace(last) { slice.removeLast() }
    return Array(slice.drop(while: isSpace))
  }
}
