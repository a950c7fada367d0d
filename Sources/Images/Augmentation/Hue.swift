/// All colours turned on the circle of HSV by the same angle, saturation and value kept, as torchvision's
/// `adjust_hue` (Albumentations and OpenCV count 180 steps a turn, and round to them).
struct Hue: Augmentation {
  static let name = "hue"
  static let summary = "turned in its colours"
  static let part: UInt8 = 5
  static let turn = AugmentationParameter(
    "turn", -0.05...0.05, within: -0.5...0.5, "share of the whole circle, from red towards green")
  static let parameters = [turn]

  let turn: Double

  init(turn: Double) { self.turn = turn }

  init(_ draws: inout AugmentationDraws) { self.init(turn: draws.value(of: Self.turn)) }

  func apply(to image: inout AugmentedImage) {
    image.replacePixels { red, green, blue in
      let (r, g, b) = (Double(red), Double(green), Double(blue))
      let (high, low) = (max(r, g, b), min(r, g, b))
      let chroma = high - low
      guard chroma > 0 else { return (red, green, blue) }
      // In sixths of the circle from red.
      var hue =
        high == r ? (g - b) / chroma : high == g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma
      hue += 6 * turn
      hue -= 6 * (hue / 6).rounded(.down)
      let sector = hue.rounded(.down)
      let rising = UInt8(level: low + chroma * (hue - sector))
      let falling = UInt8(level: high - chroma * (hue - sector))
      let (top, bottom) = (UInt8(high), UInt8(low))
      return switch Int(sector) {
      case 1: (falling, top, bottom)
      case 2: (bottom, top, rising)
      case 3: (bottom, falling, top)
      case 4: (rising, bottom, top)
      case 5: (top, bottom, falling)
      // 0, and 6 where the turn was rounded up.
      default: (top, rising, bottom)
      }
    }
  }
}
