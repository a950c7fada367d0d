import FaceShards
import Foundation

/// A scale of 256 colours in which equal steps look equally large, so that a heatmap shows no edge
/// that the numbers don't have.
///
/// Each map is a smooth curve through hand-chosen colours in OKLab, walked at constant speed in
/// CAM02-UCS. The sequential maps also grow steadily lighter, so they read the same in grey and to
/// colour-blind eyes.
public struct ColorMap: Sendable {
  public let name: String
  /// From the lowest value to the highest.
  public let colors: [SIMD3<UInt8>]

  /// Black, violet, red, orange, pale yellow: for heatmaps on their own and over images.
  public static let ember = ColorMap(
    name: "ember",
    through: [
      0x04030A, 0x1F0F45, 0x541569, 0x8D2468, 0xC73E4C, 0xEE6A2B, 0xF9A52A, 0xF6DC66, 0xFDFBD4,
    ])

  /// Violet, blue, green, yellow: for matrices and where the lowest value should not be black.
  public static let lagoon = ColorMap(
    name: "lagoon",
    through: [
      0x31124F, 0x3B3479, 0x30588C, 0x227A8C, 0x24998A, 0x45B778, 0x86CF56, 0xD3DE3C, 0xFBEE5A,
    ])

  /// Blue, near-white in the very middle, red: for values about zero.
  public static let balance = ColorMap(
    name: "balance",
    halves: (
      [0x1B3A7A, 0x2F6CB3, 0x74A6D6, 0xC3D9EA, 0xF4F1EE],
      [0xF4F1EE, 0xF0CDB9, 0xE0926F, 0xC04A3A, 0x7D1428]
    ))

  public static let all = [ember, lagoon, balance]

  private init(name: String, through knots: [UInt32]) {
    self.name = name
    colors = ColorMap.walk(knots, steps: 256).map(ColorMap.quantised)
  }

  private init(name: String, halves: ([UInt32], [UInt32])) {
    self.name = name
    colors =
      (ColorMap.walk(halves.0, steps: 128) + ColorMap.walk(halves.1, steps: 128))
      .map(ColorMap.quantised)
  }

  /// The colour of `value` in 0 … 1; what lies outside gets the nearest end, what is not a number a
  /// middle grey that no map holds.
  public subscript(value: Float) -> SIMD3<UInt8> {
    guard !value.isNaN else { return SIMD3(repeating: 128) }
    return colors[Int((min(max(value, 0), 1) * 255).rounded())]
  }

  /// As CSS, for reports: `#RRGGBB`.
  public func css(_ value: Float) -> String {
    let color = self[value]
    return "#" + [color.x, color.y, color.z].map { String(format: "%02X", $0) }.joined()
  }

  private static func quantised(_ color: SIMD3<Double>) -> SIMD3<UInt8> {
    SIMD3<UInt8>(clamping: SIMD3<Int>((color * 255).rounded(.toNearestOrAwayFromZero)))
  }

  /// `steps` sRGB colours, equally far apart in CAM02-UCS, on the Catmull-Rom spline through the
  /// knots in OKLab.
  private static func walk(_ knots: [UInt32], steps: Int) -> [SIMD3<Double>] {
    var points = knots.map { hex in
      PerceptualColor.okLab(
        SIMD3(Double(hex >> 16 & 255), Double(hex >> 8 & 255), Double(hex & 255)) / 255)
    }
    points.insert(2 * points[0] - points[1], at: 0)
    points.append(2 * points[points.count - 1] - points[points.count - 2])

    let fine = 4096
    var curve: [SIMD3<Double>] = []
    var distance: [Double] = []
    var last = SIMD3<Double>()
    for index in 0...fine {
      let position = Double(index) / Double(fine) * Double(knots.count - 1)
      let segment = min(Int(position), knots.count - 2)
      let t = position - Double(segment)
      let (a, b, c, d) = (
        points[segment], points[segment + 1], points[segment + 2], points[segment + 3]
      )
      let quadratic = 2 * a - 5 * b + 4 * c - d
      let cubic = 3 * b - a - 3 * c + d
      let lab = (2 * b + (c - a) * t + quadratic * (t * t) + cubic * (t * t * t)) / 2
      let rgb = PerceptualColor.rgb(okLab: lab)
      let uniform = PerceptualColor.uniform(rgb)
      let step = index == 0 ? SIMD3<Double>() : uniform - last
      distance.append((distance.last ?? 0) + (step * step).sum().squareRoot())
      curve.append(rgb)
      last = uniform
    }
    var from = 0
    return (0..<steps).map { step in
      let target = distance[fine] * Double(step) / Double(steps - 1)
      while from < fine - 1 && distance[from + 1] < target { from += 1 }
      let part = (target - distance[from]) / (distance[from + 1] - distance[from])
      return curve[from] + (curve[from + 1] - curve[from]) * part
    }
  }
}
