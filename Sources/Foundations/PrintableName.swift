/// `text` as it may be shown on a terminal: control characters (an escape sequence, a line break)
/// are replaced by `\u{…}`, and what is longer than `limit` characters is cut.
///
/// Names in error messages often come out of a file that nobody has vouched for.
public func printable(_ text: some StringProtocol, limit: Int = 120) -> String {
  var shown = ""
  var count = 0
  for scalar in text.unicodeScalars {
    if count == limit {
      shown += "…"
      break
    }
    count += 1
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      shown += "\\u{" + String(scalar.value, radix: 16) + "}"
    default:
      shown.unicodeScalars.append(scalar)
    }
  }
  return shown
}
