import Foundation

/// The mean over a straight path that every pixel takes while the picture is exposed.
///
/// The path has a length and an angle, which is drawn evenly over half a turn, and is centred at the
/// pixel. It is read at 2⌈length⌉ + 1 places evenly from end to end, bilinearly, with the border of
/// ``AffineWarp``. Albumentations draws a line of pixels instead, which gives steps where this one is
/// smooth, and as many pixels more for slanting lines.
struct MotionBlur: Augmentation {
  static let name = "motion_blur"
  static let summary = "blurred along a line"
  static let part: UInt8 = 8
  static let length = AugmentationParameter(
    "length", 2...8, within: 0...100, "pixels; the direction is drawn evenly")
  static let parameters = [length]

  let length: Double
  /// Of the path against the rows, 0…π.
  let angle: Double

  init(length: Double, angle: Double) {
    self.length = length
    self.angle = angle
  }

  init(_ draws: inout AugmentationDraws) {
    self.init(
      length: draws.value(of: Self.length), angle: Double.pi * draws.generator.uniformDouble())
  }

  /// Pixels on each side that the path can touch.
  var radius: Int { Int((length / 2).rounded(.up)) }

  /// The weights of the pixels round one, `[2 · radius + 1, 2 · radius + 1]`, of sum 1.
  var kernel: [Double] {
    let side = 2 * radius + 1
    // A place past the last pixel has weight 0, up to rounding.
    var kernel = [Double](repeating: 0, count: (side + 1) * (side + 1))
    let places = 2 * Int(length.rounded(.up)) + 1
    for i in 0..<places {
      let t = places == 1 ? 0 : length * (Double(i) / Double(places - 1) - 0.5)
      let (x, y) = (Double(radius) + t * cos(angle), Double(radius) - t * sin(angle))
      let (left, top) = (max(0, x.rounded(.down)), max(0, y.rounded(.down)))
      let (fx, fy) = (x - left, y - top)
      let place = Int(top) * (side + 1) + Int(left)
      kernel[place] += (1 - fx) * (1 - fy) / Double(places)
      kernel[place + 1] += fx * (1 - fy) / Double(places)
      kernel[place + side + 1] += (1 - fx) * fy / Double(places)
      kernel[place + side + 2] += fx * fy / Double(places)
    }
    return (0..<side).flatMap { kernel[$0 * (side + 1)..<$0 * (side + 1) + side] }
  }

  func apply(to image: inout AugmentedImage) {
    let (width, height, radius) = (image.picture.width, image.picture.height, radius)
    let side = 2 * radius + 1
    let taps = kernel.enumerated().filter { $0.element != 0 }.map {
      (row: $0.offset / side, column: $0.offset % side, weight: $0.element)
    }
    // With its border, so that every tap is one run over a row.
    let wide = width + 2 * radius
    let padded = image.picture.pixels.withUnsafeBufferPointer { source in
      [Double](unsafeUninitializedCapacity: wide * (height + 2 * radius) * 3) { out, count in
        for y in 0..<height + 2 * radius {
          let row = reflected(y - radius, count: height) * width
          for x in 0..<wide {
            let from = (row + reflected(x - radius, count: width)) * 3
            for c in 0..<3 { out[(y * wide + x) * 3 + c] = Double(source[from + c]) }
          }
        }
        count = out.count
      }
    }
    padded.withUnsafeBufferPointer { padded in
      image.picture.pixels.withUnsafeMutableBufferPointer { out in
        withUnsafeTemporaryAllocation(of: Double.self, capacity: width * 3) { sums in
          for y in 0..<height {
            sums.update(repeating: 0)
            for tap in taps {
              let row = padded.baseAddress! + ((y + tap.row) * wide + tap.column) * 3
              for x in 0..<width * 3 { sums[x] += tap.weight * row[x] }
            }
            for x in 0..<width * 3 { out[y * width * 3 + x] = UInt8(level: sums[x]) }
          }
        }
      }
    }
  }
}
