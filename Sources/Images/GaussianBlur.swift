import Foundation

/// Gaussian blur, rows first and then columns, computed in Double and rounded once at the end.
///
/// The kernel is the sampled Gaussian of 2 · ⌊4σ + ½⌋ + 1 taps, scaled to sum 1; beyond the border
/// the image goes on mirrored, the border pixel twice (c b a | a b c). These are the conventions of
/// `scipy.ndimage.gaussian_filter` with its defaults.
public struct GaussianBlur: Sendable {
  /// Weights from the centre outwards.
  let weights: [Double]

  /// - Parameter sigma: standard deviation in pixels, above 0.
  public init(sigma: Double) { self.init(sigma: sigma, radius: Int(4 * sigma + 0.5)) }

  /// - Parameters:
  ///   - sigma: standard deviation in pixels, above 0.
  ///   - radius: taps on each side of the middle one, as where OpenCV is told the kernel's size.
  public init(sigma: Double, radius: Int) {
    precondition(sigma > 0 && sigma.isFinite, "a blur's sigma is above 0, not \(sigma)")
    let half = (0...radius).map { exp(-0.5 * Double($0 * $0) / (sigma * sigma)) }
    let sum = half[0] + 2 * half.dropFirst().reduce(0, +)
    weights = half.map { $0 / sum }
  }

  /// The blurred image.
  public func applied(to image: RGBImage) -> RGBImage {
    let (width, height) = (image.width, image.height)
    var rows = [Double](repeating: 0, count: image.pixels.count)
    for y in 0..<height {
      let start = y * width * 3
      filter(
        count: width, stride: 3, lanes: 3, from: { Double(image.pixels[start + $0]) },
        store: { rows[start + $0] = $1 })
    }
    var blurred = image
    filter(
      count: height, stride: width * 3, lanes: width * 3, from: { rows[$0] },
      store: { blurred.pixels[$0] = UInt8(min(max($1.rounded(), 0), 255)) })
    return blurred
  }

  /// Filters `lanes` neighbouring lines at once: element i of a line is at i · stride + lane.
  @inline(__always)
  private func filter(
    count: Int, stride: Int, lanes: Int, from value: (Int) -> Double,
    store: (Int, Double) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: lanes) { sums in
      for i in 0..<count {
        for lane in 0..<lanes { sums[lane] = value(i * stride + lane) * weights[0] }
        for tap in 1..<weights.count {
          let weight = weights[tap]
          let before = Self.mirrored(i - tap, count: count) * stride
          let after = Self.mirrored(i + tap, count: count) * stride
          for lane in 0..<lanes {
            sums[lane] += weight * (value(before + lane) + value(after + lane))
          }
        }
        for lane in 0..<lanes { store(i * stride + lane, sums[lane]) }
      }
    }
  }

  /// Where the image goes on beyond its borders, however far: … 1 0 | 0 1 … n−1 | n−1 n−2 ….
  static func mirrored(_ i: Int, count: Int) -> Int {
    let period = 2 * count
    let place = (i % period + period) % period
    return place < count ? place : period - 1 - place
  }
}
