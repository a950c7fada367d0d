import Foundations

/// The value of a setting, before it has a type of its own.
public enum ConfigurationValue: Sendable, Equatable {
  case none
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([String])
  case numbers([Double])

  /// The value as it is written in YAML. What other readers might take for something else is put
  /// in quotes; numbers have a point, because many readers take 1e-08 for a text.
  public var yaml: String {
    switch self {
    case .none: "null"
    case .boolean(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .number(let value): value.plain
    case .text(let value): quotedYAML(value)
    case .list(let values):
      values.count == 1
        ? quotedYAML(values[0]) : "[\(values.map { quotedYAML($0) }.joined(separator: ", "))]"
    case .numbers(let values):
      values.count == 1
        ? values[0].plain : "[\(values.map(\.plain).joined(separator: ", "))]"
    }
  }

  /// The paths that ``PathExpansion`` makes these of.
  var escaped: ConfigurationValue {
    switch self {
    case .text(let path): .text(PathExpansion.escape(path))
    case .list(let paths): .list(paths.map(PathExpansion.escape))
    default: self
    }
  }

  /// The value in an error message.
  var shown: String {
    switch self {
    case .text(let value): "the text '\(printable(value))'"
    case .list(let values): "a list of \(values.count)"
    default: yaml
    }
  }
}

extension Double {
  /// The shortest text that reads back as this number, with a point in it.
  var plain: String {
    var text = "\(self)"
    if let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") {
      text.insert(contentsOf: ".0", at: exponent)
    }
    return text
  }

  /// ``plain``, without a point where the number is whole.
  var shortest: String { Int(exactly: self).map(String.init) ?? plain }
}

/// `text` as a YAML scalar that is a text to every reader.
func quotedYAML(_ text: String) -> String {
  let plainCharacters = text.utf8.allSatisfy {
    switch $0 {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
  let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
  if plainCharacters, let first = text.utf8.first,
    UInt8(ascii: "a")...UInt8(ascii: "z") ~= first
      || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= first,
    !words.contains(text.lowercased())
  {
    return text
  }
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case let control
    where control.value < 0x20 || control.value == 0x7f || control.value == 0x85
      || control.value == 0x2028 || control.value == 0x2029 || control.value == 0xfeff
      || (0x80..<0xa0).contains(control.value):
      let digits = String(control.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
