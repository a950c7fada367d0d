import Evaluation
import Foundation
import Foundations

/// Figures as the page shows them.
enum FigureText {
  /// Four digits after the point, or a dash where the data don't define it.
  static func rate(_ value: Double?) -> String { value.map { fixed($0, 4) } ?? "–" }

  /// `0.9701–0.9898`, or a dash.
  static func interval(_ value: Interval?) -> String {
    value.map { "\(fixed($0.low, 4))–\(fixed($0.high, 4))" } ?? "–"
  }

  /// Three digits after the point, or a dash.
  static func ratio(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    return fixed(value, 3)
  }

  /// `value` in hundredths, to one digit.
  static func percent(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    return fixed(value * 100, 1) + " %"
  }

  /// A whole number in groups of three digits: `1,234,567`.
  static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var shown = value < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { shown += "," }
      shown.append(digit)
    }
    return shown
  }

  /// `1 image`, `2 images`.
  static func count(_ value: Int, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// Six significant digits at the most, as short as that can be said: `0.0002`, `2e-05`, `1200`.
  static func short(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    if value == value.rounded(), abs(value) < 1e6 { return count(Int(value)) }
    return String(format: "%.6g", value)
  }
}
