import Foundation

/// Rotation, scale and shift in one warp about the centre of the image, read bilinearly.
///
/// Angles turn anticlockwise, as OpenCV's `getRotationMatrix2D` and Albumentations have it (torchvision's
/// `affine` turns clockwise); the centre is that of the pixel grid, ((w − 1)/2, (h − 1)/2). Beyond the
/// border the image goes on mirrored without its border pixel (d c b | a b c d | c b a), OpenCV's
/// `BORDER_REFLECT_101` and Albumentations' default, so that no black corners tell which images were
/// turned. A mask is warped alike, by the nearest pixel.
struct AffineWarp: Augmentation {
  static let name = "affine"
  static let summary = "turned, scaled and shifted"
  static let part: UInt8 = 0
  static let rotation = AugmentationParameter(
    "rotation", -10...10, within: -180...180, "degrees, anticlockwise")
  static let scale = AugmentationParameter(
    "scale", 0.9...1.1, within: 0.1...10, "above 1 is larger")
  static let shift = AugmentationParameter(
    "shift", -0.05...0.05, within: -1...1,
    "share of the width to the right and, drawn anew, of the height downwards")
  static let parameters = [rotation, scale, shift]

  let rotation: Double
  let scale: Double
  /// Shares of width and height.
  let right: Double
  let down: Double

  init(rotation: Double, scale: Double, right: Double, down: Double) {
    self.rotation = rotation
    self.scale = scale
    self.right = right
    self.down = down
  }

  init(_ draws: inout AugmentationDraws) {
    self.init(
      rotation: draws.value(of: Self.rotation), scale: draws.value(of: Self.scale),
      right: draws.value(of: Self.shift), down: draws.value(of: Self.shift))
  }

  func apply(to image: inout AugmentedImage) {
    let (width, height) = (image.picture.width, image.picture.height)
    let warped = image.picture.pixels.withUnsafeBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: source.count) { out, count in
        forEachSource(width: width, height: height) { to, x, y in
          let (left, top) = (x.rounded(.down), y.rounded(.down))
          let (fx, fy) = (x - left, y - top)
          let x0 = reflected(Int(left), count: width)
          let x1 = reflected(Int(left) + 1, count: width)
          let y0 = reflected(Int(top), count: height) * width
          let y1 = reflected(Int(top) + 1, count: height) * width
          for c in 0..<3 {
            let above =
              (1 - fx) * Double(source[(y0 + x0) * 3 + c])
              + fx * Double(source[(y0 + x1) * 3 + c])
            let below =
              (1 - fx) * Double(source[(y1 + x0) * 3 + c])
              + fx * Double(source[(y1 + x1) * 3 + c])
            out[to * 3 + c] = UInt8(level: (1 - fy) * above + fy * below)
          }
        }
        count = source.count
      }
    }
    if let mask = image.mask {
      var moved = mask
      forEachSource(width: width, height: height) { to, x, y in
        let row = reflected(Int((y + 0.5).rounded(.down)), count: height)
        moved[to] = mask[row * width + reflected(Int((x + 0.5).rounded(.down)), count: width)]
      }
      image.mask = moved
    }
    image.picture.pixels = warped
    image.isWarped = true
  }

  /// Calls `body` with every pixel's number and where in the source it is read.
  @inline(__always)
  private func forEachSource(width: Int, height: Int, _ body: (Int, Double, Double) -> Void) {
    let angle = rotation * Double.pi / 180
    let (cosine, sine) = (cos(angle) / scale, sin(angle) / scale)
    let (centreX, centreY) = (Double(width - 1) / 2, Double(height - 1) / 2)
    for y in 0..<height {
      let dy = Double(y) - centreY - down * Double(height)
      for x in 0..<width {
        let dx = Double(x) - centreX - right * Double(width)
        body(
          y * width + x, centreX + cosine * dx - sine * dy, centreY + sine * dx + cosine * dy)
      }
    }
  }
}

/// Where an image goes on beyond its borders, however far: … 2 1 | 0 1 … n−1 | n−2 ….
@inline(__always)
package func reflected(_ i: Int, count: Int) -> Int {
  if i >= 0 && i < count { return i }
  let period = max(1, 2 * (count - 1))
  let place = (i % period + period) % period
  return place < count ? place : period - place
}
