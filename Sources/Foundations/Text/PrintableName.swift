extension Unicode.Scalar {
  /// Whether a terminal would not show it, or would show something else for it: control characters
  /// (C0 and C1), line and paragraph separators, marks of direction, characters of no width, variation
  /// selectors, tags, fillers, private and unassigned ones.
  public var disturbsTerminals: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      true
    default:
      properties.isDefaultIgnorableCodePoint
    }
  }

  /// Whether it is drawn over or beside the character before it.
  public var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }
}

/// `text` as it may be shown on a terminal: what would disturb it (an escape sequence, a line break, a
/// mark of direction, characters that can't be seen; see `Unicode.Scalar.disturbsTerminals`) is
/// replaced by `\u{…}`, and so is a mark at the beginning, which would stand above what goes before.
/// What is longer than `limit` characters is cut.
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
    if scalar.disturbsTerminals || count == 0 && scalar.isMark {
      shown += "\\u{" + String(scalar.value, radix: 16) + "}"
    } else {
      shown.unicodeScalars.append(scalar)
    }
    count += 1
  }
  return shown
}
