import Foundation
import Foundations

/// A square table with coloured cells: confusion counts, similarities.
struct MatrixTable: Sendable {
  var caption: HTML
  /// What the rows and the columns are.
  var rowTitle: String
  var columnTitle: String
  var names: [String]
  /// What a cell says, and where in the colours it lies, 0 … 1; nil: no colour.
  var cells: [[(text: String, shade: Double?)]]
  var colors: ColorMap

  func html() -> HTML {
    let heads: [HTML] = names.map {
      "<th scope=\"col\" class=\"upright\"><span>\(HTML.name($0))</span></th>"
    }
    let rows: [HTML] = zip(names, cells).map { name, row in
      """
      <tr><th scope="row">\(HTML.name(name))</th>\(row.map(cell))</tr>

      """
    }
    return """
      <div class="scroll" role="region" tabindex="0" aria-label="\(columnTitle)"><table \
      class="matrix"><caption><span>\(caption)</span></caption>
      <thead><tr><td class="corner"><span>\(rowTitle)</span> ↓ <span>\(columnTitle)</span> →</td>\
      \(heads)</tr></thead>
      <tbody>\(rows)</tbody></table></div>

      """
  }

  private func cell(_ cell: (text: String, shade: Double?)) -> HTML {
    guard let shade = cell.shade, shade.isFinite else { return "<td>\(cell.text)</td>" }
    let background = colors[Float(shade)]
    let ink = Contrast.ink(on: background)
    return """
      <td style="background:\(colors.css(Float(shade)));color:\(ink)">\(cell.text)</td>
      """
  }
}

/// How well colours are told apart, as WCAG 2 measures it.
enum Contrast {
  /// Relative luminance of an sRGB colour, 0 … 1.
  static func luminance(_ color: SIMD3<UInt8>) -> Double {
    let weights = [0.2126, 0.7152, 0.0722]
    return (0..<3).reduce(0) { sum, channel in
      sum + weights[channel] * linear(Double(color[channel]) / 255)
    }
  }

  /// Linear light of an sRGB value (IEC 61966-2-1).
  private static func linear(_ value: Double) -> Double {
    value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
  }

  /// 1 (the same) … 21 (black on white).
  static func ratio(_ a: SIMD3<UInt8>, _ b: SIMD3<UInt8>) -> Double {
    let (first, second) = (luminance(a), luminance(b))
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)
  }

  /// Black or white, whichever reads better: at least 4.5:1 on any colour.
  static func ink(on background: SIMD3<UInt8>) -> String {
    ratio(background, SIMD3(repeating: 0)) >= ratio(background, SIMD3(repeating: 255))
      ? "#000" : "#fff"
  }

  /// `#RRGGBB` as a colour.
  static func color(css: String) -> SIMD3<UInt8> {
    let value = UInt32(css.dropFirst(), radix: 16) ?? 0
    return SIMD3(UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255))
  }
}

/// The scale of a heatmap: a bar of its colours between what its ends mean.
enum ScaleBar {
  static func html(_ colors: ColorMap, low: String, high: String, identifier: String) -> HTML {
    let stops: [HTML] = (0...32).map { index in
      let part = Double(index) / 32
      return """
        <stop offset="\(fixed(part * 100, 3))%" stop-color="\(colors.css(Float(part)))"/>
        """
    }
    return """
      <p class="scale"><span>\(low)</span><svg class="ramp" viewBox="0 0 160 10" \
      preserveAspectRatio="none" role="img" aria-label="colours from \(low) to \(high)">\
      <linearGradient id="\(identifier)">\(stops)</linearGradient><rect width="160" height="10" \
      fill="url(#\(identifier))"/></svg><span>\(high)</span></p>

      """
  }
}
