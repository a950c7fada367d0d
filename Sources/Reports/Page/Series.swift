/// One line of a plot.
struct Series: Sendable {
  enum Style: Sendable {
    case line
    /// Faint, behind the others: what a smoothed line was made from.
    case faint
    /// A line with a mark at every point.
    case marked
    /// Horizontal first, then vertical.
    case steps
    /// A dashed line for comparison.
    case reference
  }

  var name: String
  var curve: Curve
  var style = Style.line
  /// Place in the palette, from 0.
  var color: Int
  /// More about each point, said after its value on hover; as many as points, or none.
  var remarks: [String] = []
  /// Whether the pointer finds its points.
  var isHoverable = true
  /// Heavier than the others.
  var isStrong = false

  /// CSS classes of its mark.
  var classes: String {
    var names = ["s\(color % Palette.light.count)"]
    switch style {
    case .faint: names.append("faint")
    case .reference: names.append("reference")
    case .line, .marked, .steps: break
    }
    if isStrong { names.append("strong") }
    // Beyond the palette lines differ by their dashes.
    if color >= Palette.light.count { names.append("dashed") }
    return names.joined(separator: " ")
  }
}

/// Colours of lines, told apart by eyes of any kind, each with at least 3:1 against the page. The
/// first is ink's neighbour: for what matters most.
enum Palette {
  static let light = [
    "#1c5cab", "#b9500b", "#0a7a66", "#9b3d86", "#6d5d00", "#5a4bc2", "#4b5a68", "#b0252f",
  ]
  static let dark = [
    "#6fb0f5", "#f0955a", "#3fc2a6", "#e493c9", "#d3ba4e", "#aaa2f7", "#a5b4c1", "#f58a8a",
  ]
}
