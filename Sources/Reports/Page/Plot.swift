import Foundation
import Foundations

/// A plot of lines as inline SVG, with its legend.
///
/// Colours are CSS classes, so that the page's themes reach them. What a line's points are stands in
/// `data-` attributes, from which the page's script reads exact values under the pointer; without
/// script, marked points have titles of their own and the description names ends and extremes.
struct Plot: Sendable {
  /// What the pointer finds.
  enum Hover: String, Sendable {
    /// The values of all lines at one place of the horizontal axis.
    case column
    /// The nearest point of any line.
    case point
  }

  /// A part of the horizontal axis that is shaded and labelled.
  struct Band: Sendable {
    var range: ClosedRange<Double>
    var label: String
  }

  /// Unique in the page.
  var identifier: String
  var title: String
  var x: Axis
  var y: Axis
  var xTitle: String
  var yTitle: String
  var series: [Series]
  var hover = Hover.column
  var band: Band?
  /// Places on the horizontal axis where there is nothing to measure, each a stroke on it, and what they are
  /// called.
  var gaps: [Double] = []
  var gapName = ""
  /// A sentence below the plot.
  var note: HTML?
  /// More for those who can't see it than what the lines' values tell.
  var description = ""
  /// In user units, of which there are about as many as pixels.
  var width = 480.0
  var height = 290.0
  /// Drawn at about its own size where the page is wide, and so with smaller letters where narrow.
  var isSmall = false

  private var left: Double { 54 }
  private var right: Double { width - 14 }
  private var top: Double { 28 }
  private var bottom: Double { height - 50 }

  /// The plot with title, legend and note.
  func figure() -> HTML {
    let entries: [HTML] = series.map { "<li>\(swatch($0))\(HTML.name($0.name))</li>" } + gapEntry
    let legend: HTML = entries.count < 2 ? "" : "<ul class=\"legend\">\(entries)</ul>"
    let footer: HTML = note.map { "<p class=\"note\">\($0)</p>" } ?? ""
    return """
      <figure class="chart\(isSmall ? " small" : "")"><figcaption><h3>\(title)</h3>\(legend)</figcaption>\(svg())\(footer)\
      </figure>

      """
  }

  func svg() -> HTML {
    let size: HTML = "viewBox=\"0 0 \(number(width)) \(number(height))\""
    let frame: HTML = """
      data-left="\(number(left))" data-top="\(number(top))" data-width="\(number(right - left))" \
      data-height="\(number(bottom - top))"
      """
    let axes: HTML = """
      data-x-scale="\(x.scale.rawValue)" data-x-low="\(exact(x.range.lowerBound))" \
      data-x-high="\(exact(x.range.upperBound))" data-y-scale="\(y.scale.rawValue)" \
      data-y-low="\(exact(y.range.lowerBound))" data-y-high="\(exact(y.range.upperBound))" \
      data-x-title="\(xTitle)" data-y-title="\(yTitle)" data-hover="\(hover.rawValue)"
      """
    return """
      <svg class="plot" id="\(identifier)" xmlns="http://www.w3.org/2000/svg" \(size) role="img" \
      aria-labelledby="\(identifier)-title \(identifier)-desc" \(frame) \(axes)>
      <title id="\(identifier)-title">\(title)</title>
      <desc id="\(identifier)-desc">\(spoken)</desc>
      <clipPath id="\(identifier)-clip"><rect x="\(number(left))" y="\(number(top - 4))" \
      width="\(number(right - left))" height="\(number(bottom - top + 8))"/></clipPath>
      \(shade)\(grid)\(strokes)\(titles)
      <g clip-path="url(#\(identifier)-clip)">\(series.map(line))</g>
      \(series.map(marks))</svg>

      """
  }

  // MARK: Frame

  private var shade: HTML {
    guard let band else { return "" }
    let from = column(band.range.lowerBound)
    let to = column(band.range.upperBound)
    guard to - from > 1 else { return "" }
    // Upright where the label would not fit across.
    let isNarrow = to - from < Double(band.label.count) * 7
    let place: HTML =
      isNarrow
      ? """
      transform="translate(\(number((from + to) / 2 + 4)) \(number(bottom - 8))) rotate(-90)"
      """
      : "x=\"\(number(from + 8))\" y=\"\(number(bottom - 10))\""
    return """
      <rect class="band" x="\(number(from))" y="\(number(top))" width="\(number(to - from))" \
      height="\(number(bottom - top))"/><text class="band-label" \(place)>\(band.label)</text>
      """
  }

  private var grid: HTML {
    var marks = HTML.nothing
    for tick in y.ticks {
      let place = number(row(tick.value))
      marks += """
        <line class="grid" x1="\(number(left))" x2="\(number(right))" y1="\(place)" \
        y2="\(place)"/><text class="tick" x="\(number(left - 8))" y="\(place)" dy="0.35em" \
        text-anchor="end">\(tick.label)</text>
        """
    }
    let every = spacing
    for (index, tick) in x.ticks.enumerated() {
      let place = column(tick.value)
      marks += """
        <line class="axis" x1="\(number(place))" x2="\(number(place))" y1="\(number(bottom))" \
        y2="\(number(bottom + 4))"/>
        """
      guard (x.ticks.count - 1 - index) % every == 0 else { continue }
      // A label at the very end would hang over it.
      let anchor = place > right - 10 ? "end" : place < left + 10 ? "start" : "middle"
      marks += """
        <text class="tick" x="\(number(min(place, right)))" y="\(number(bottom + 18))" \
        text-anchor="\(anchor)">\(tick.label)</text>
        """
    }
    marks += """
      <line class="axis" x1="\(number(left))" x2="\(number(right))" y1="\(number(bottom))" \
      y2="\(number(bottom))"/>
      """
    return marks
  }

  private var strokes: HTML {
    guard !gaps.isEmpty else { return "" }
    let path = gaps.map { "M\(number(column($0))) \(number(bottom - 1))v-9" }.joined()
    return "<path class=\"gap\" d=\"\(path)\"/>"
  }

  private var gapEntry: [HTML] {
    guard !gaps.isEmpty else { return [] }
    return [
      """
      <li><svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><path class="gap" \
      d="M11 0v10"/></svg>\(gapName)</li>
      """
    ]
  }

  /// Every how many ticks of the horizontal axis are labelled, so that letters of the size for narrow
  /// pages don't touch.
  private var spacing: Int {
    var places = x.ticks.map { column($0.value) }
    let letters = Double(x.ticks.map(\.label.count).max() ?? 0) * 9
    let needed = letters + 14
    // The label at the end lies before it.
    if let last = places.last, last > right - 10 { places[places.count - 1] -= letters / 2 }
    return (1...6).first { every in
      zip(places, places.dropFirst(every)).allSatisfy { $1 - $0 >= needed }
    } ?? 6
  }

  private var titles: HTML {
    """
    <text class="axis-title" x="2" y="14">\(yTitle)</text><text class="axis-title" \
    x="\(number((left + right) / 2))" y="\(number(height - 6))" text-anchor="middle">\(xTitle)\
    </text>
    """
  }

  private func swatch(_ series: Series) -> HTML {
    """
    <svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><line class="line \(series.classes)" \
    x1="1" x2="21" y1="5" y2="5"/></svg>
    """
  }

  // MARK: Lines

  private func line(_ series: Series) -> HTML {
    var path = ""
    var isDown = false
    var last = (x: 0.0, y: 0.0)
    for point in series.curve.points {
      guard let value = point.y else {
        isDown = false
        continue
      }
      let place = (x: column(point.x), y: row(value))
      if !isDown {
        // A point without neighbours is a dot, by the line's round cap.
        path += "M\(number(place.x)) \(number(place.y))h0"
      } else if series.style == .steps {
        if place.x != last.x { path += "H\(number(place.x))" }
        if place.y != last.y { path += "V\(number(place.y))" }
      } else {
        path += "L\(number(place.x)) \(number(place.y))"
      }
      (isDown, last) = (true, place)
    }
    var data = HTML.nothing
    if series.isHoverable {
      let points = series.curve.points
      data = """
         data-series="\(series.name)" data-x="\(points.map { exact($0.x) }.joined(separator: ","))" \
        data-y="\(points.map { $0.y.map(exact) ?? "" }.joined(separator: ","))"
        """
      if !series.remarks.isEmpty {
        data += " data-remarks=\"\(series.remarks.joined(separator: "|"))\""
      }
    }
    return "<path class=\"line \(series.classes)\" d=\"\(path)\"\(data)/>"
  }

  private func marks(_ series: Series) -> HTML {
    guard series.style == .marked else { return "" }
    return .joined(
      series.curve.points.compactMap { point in
        guard let value = point.y else { return nil }
        return """
          <circle class="mark \(series.classes)" cx="\(number(column(point.x)))" \
          cy="\(number(row(value)))" r="2.8"><title>\(series.name): \(exact(value)) at \
          \(xTitle) \(FigureText.short(point.x))</title></circle>
          """
      })
  }

  /// What the lines show, in words.
  private var spoken: String {
    var sentences = description.isEmpty ? [] : [description]
    for line in series where line.style != .faint && line.style != .reference {
      let values = line.curve.values
      guard let first = values.first, let last = values.last, let low = values.min(),
        let high = values.max()
      else {
        sentences.append("\(line.name): no values.")
        continue
      }
      sentences.append(
        "\(line.name): \(exact(first)) first, \(exact(last)) last, between \(exact(low)) and "
          + "\(exact(high)).")
    }
    return sentences.joined(separator: " ")
  }

  // MARK: Places

  /// The column of a value; what lies outside the axis stays at its end, as rates of zero do on a
  /// logarithmic one.
  private func column(_ value: Double) -> Double {
    let position = x.position(value)
    return left + min(max(position.isNaN ? 0 : position, 0), 1) * (right - left)
  }

  private func row(_ value: Double) -> Double {
    let position = y.position(value)
    // Far outside is as good as outside, and keeps coordinates short.
    return bottom - min(max(position.isNaN ? 0 : position, -1), 2) * (bottom - top)
  }

  private func number(_ value: Double) -> String {
    let text = fixed(value, 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}

/// Six significant digits: what a plot tells of a value.
func exact(_ value: Double) -> String { String(format: "%.6g", value) }
