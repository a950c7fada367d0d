import Foundation

/// A scale of 256 colours in which equal steps look equally large, so that a heatmap shows no edge
/// that the numbers don't have.
///
/// The sequential maps also grow steadily lighter, so they read the same in grey and to colour-blind
/// eyes.
public struct ColorMap: Sendable {
  public let name: String
  /// From the lowest value to the highest.
  public let colors: [SIMD3<UInt8>]

  public static let all = [ember, lagoon, balance]

  init(name: String, _ table: [UInt32]) {
    precondition(table.count == 256, "a map of 256 colours was expected, got \(table.count)")
    self.name = name
    colors = table.map {
      SIMD3(UInt8($0 >> 16), UInt8($0 >> 8 & 255), UInt8($0 & 255))
    }
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
}
