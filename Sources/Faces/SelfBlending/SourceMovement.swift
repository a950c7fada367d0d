import Images
import Tensors

/// How the copy that is blended in is moved and scaled about the middle of the picture: a face that comes
/// from elsewhere does not fit to the pixel.
struct SourceMovement: Sendable, Equatable {
  /// A share of the width, to the right.
  let right: Double
  /// A share of the height, downwards.
  let down: Double
  /// Above 1 is larger.
  let scaleX: Double
  let scaleY: Double

  init(right: Double, down: Double, scaleX: Double, scaleY: Double) {
    self.right = right
    self.down = down
    self.scaleX = scaleX
    self.scaleY = scaleY
  }

  init(_ draws: inout CounterGenerator) {
    func scale() -> Double { 0.95 + (1 / 0.95 - 0.95) * draws.uniformDouble() }
    self.init(
      right: draws.within(0.03), down: draws.within(0.015), scaleX: scale(), scaleY: scale())
  }

  /// Where in the picture something lay before it was moved to `point`.
  func origin(of point: SIMD2<Double>, width: Int, height: Int) -> SIMD2<Double> {
    let size = SIMD2(Double(width), Double(height))
    let centre = (size - 1) / 2
    return centre + (point - centre - size * SIMD2(right, down)) / SIMD2(scaleX, scaleY)
  }

  /// The moved picture, read bilinearly; beyond the border it goes on mirrored without its border pixel.
  func applied(to picture: RGBImage) -> RGBImage {
    let (width, height) = (picture.width, picture.height)
    /// The two places between which a place of an axis is read, and the share of the second.
    func places(_ count: Int, _ origin: (Double) -> Double) -> [(Int, Int, Double)] {
      (0..<count).map { place in
        let from = origin(Double(place))
        let first = from.rounded(.down)
        return (
          reflected(Int(first), count: count), reflected(Int(first) + 1, count: count),
          from - first
        )
      }
    }
    let columns = places(width) { origin(of: SIMD2($0, 0), width: width, height: height).x }
    let rows = places(height) { origin(of: SIMD2(0, $0), width: width, height: height).y }
    var moved = picture
    picture.pixels.withUnsafeBufferPointer { source in
      moved.pixels.withUnsafeMutableBufferPointer { out in
        var to = 0
        for (above, below, down) in rows {
          for (left, right, across) in columns {
            for c in 0..<3 {
              func level(_ row: Int, _ column: Int) -> Double {
                Double(source[(row * width + column) * 3 + c])
              }
              let top = (1 - across) * level(above, left) + across * level(above, right)
              let bottom = (1 - across) * level(below, left) + across * level(below, right)
              out[to + c] = UInt8(level: (1 - down) * top + down * bottom)
            }
            to += 3
          }
        }
      }
    }
    return moved
  }
}
