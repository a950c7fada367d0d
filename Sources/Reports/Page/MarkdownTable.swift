import Evaluation
import Foundations

/// Tables in Markdown that can be read as plain text too.
enum MarkdownTable {
  /// A table in Markdown, its columns padded to equal width.
  static func grid(_ heading: [String], _ rows: [[String]]) -> String {
    let all = ([heading] + rows).map { row in
      // Not by characters: a mark above a bar makes another character of both.
      row.map { String($0.unicodeScalars.flatMap { $0 == "|" ? "\\|" : "\($0)" }) }
    }
    let widths = heading.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      "| "
        + zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
        .joined(separator: " | ") + " |"
    }
    let rule =
      "| "
      + widths.map { String(repeating: "-", count: max(3, $0)) }
      .joined(separator: " | ") + " |"
    return ([line(all[0]), rule] + all.dropFirst().map(line)).joined(separator: "\n")
  }

  /// A figure with its interval: `0.9812 [0.9701, 0.9898]`.
  static func figure(_ value: Double?, _ interval: Interval?) -> String {
    guard let value else { return "-" }
    guard let interval else { return fixed(value, 4) }
    return "\(fixed(value, 4)) [\(fixed(interval.low, 4)), \(fixed(interval.high, 4))]"
  }
}
